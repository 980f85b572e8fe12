// Builder functions: one signature an op. Each adds one Node to its operands' Graph and throws
// Error (user) when the operands break one of the op's constraints.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/ir/graph.h"

namespace ingot {

struct Conv2dOptions {
  std::array<std::int64_t, 2> stride{1, 1};
  std::array<std::int64_t, 4> padding{0, 0, 0, 0};  ///< top, bottom, left, right
  std::array<std::int64_t, 2> dilation{1, 1};
  std::int64_t groups = 1;
  std::string math = "f32";  ///< "tf32": f32 operands may be rounded to 11 bits
};

struct MatmulOptions {
  bool transpose_a = false;
  bool transpose_b = false;
  std::string math = "f32";  ///< as in Conv2dOptions
};

struct MaxPool2dOptions {
  std::array<std::int64_t, 2> kernel{2, 2};
  std::optional<std::array<std::int64_t, 2>> stride = std::nullopt;  ///< `kernel` when not given
  std::array<std::int64_t, 4> padding{0, 0, 0, 0};                   ///< top, bottom, left, right
  std::array<std::int64_t, 2> dilation{1, 1};
};

struct AvgPool2dOptions {
  std::array<std::int64_t, 2> kernel{2, 2};
  std::optional<std::array<std::int64_t, 2>> stride = std::nullopt;  ///< `kernel` when not given
  std::array<std::int64_t, 4> padding{0, 0, 0, 0};                   ///< top, bottom, left, right
  bool count_include_pad = true;  ///< false: divide by the elements in the window alone
};

struct Moments {
  Value mean;
  Value var;  ///< biased
};

struct BatchNorm {
  Value y;
  Value mean;
  Value var;  ///< biased
};

struct BatchNormGrad {
  Value dx;
  Value dgamma;
  Value dbeta;
};

}  // namespace ingot

namespace ingot::ops {

/// Any elementwise op by its name in the registry: `elementwise("relu", {x})`. Operands broadcast
/// as NumPy's do.
Value elementwise(std::string_view name, std::vector<Value> operands,
                  SourceLocation loc = SourceLocation::current());
/// One Node for every instruction of the program, applied to `operands`; returns its outputs.
std::vector<Value> build_scalar(const ScalarProgram& program, std::span<const Value> operands,
                                SourceLocation loc = SourceLocation::current());

Value neg(Value x, SourceLocation loc = SourceLocation::current());
Value abs(Value x, SourceLocation loc = SourceLocation::current());
Value exp(Value x, SourceLocation loc = SourceLocation::current());
Value log(Value x, SourceLocation loc = SourceLocation::current());
Value sqrt(Value x, SourceLocation loc = SourceLocation::current());
Value rsqrt(Value x, SourceLocation loc = SourceLocation::current());
Value tanh(Value x, SourceLocation loc = SourceLocation::current());
Value cos(Value x, SourceLocation loc = SourceLocation::current());
Value sigmoid(Value x, SourceLocation loc = SourceLocation::current());
Value relu(Value x, SourceLocation loc = SourceLocation::current());
Value add(Value a, Value b, SourceLocation loc = SourceLocation::current());
Value sub(Value a, Value b, SourceLocation loc = SourceLocation::current());
Value mul(Value a, Value b, SourceLocation loc = SourceLocation::current());
Value div(Value a, Value b, SourceLocation loc = SourceLocation::current());
Value pow(Value a, Value b, SourceLocation loc = SourceLocation::current());
Value minimum(Value a, Value b, SourceLocation loc = SourceLocation::current());
Value maximum(Value a, Value b, SourceLocation loc = SourceLocation::current());
/// condition ? a : b, per element.
Value select(Value condition, Value a, Value b, SourceLocation loc = SourceLocation::current());

/// NumPy broadcasting to `shape`.
Value broadcast_to(Value x, const Shape& shape, SourceLocation loc = SourceLocation::current());

/// The same elements under another shape; one -1 is inferred.
Value reshape(Value x, const Shape& shape, SourceLocation loc = SourceLocation::current());

/// Sum over `axes` (negative ones count from the end; empty: all).
Value sum(Value x, std::vector<std::int64_t> axes, bool keep_dims = false,
          SourceLocation loc = SourceLocation::current());
/// Sums a gradient down to the shape that was broadcast to its shape.
Value sum_to(Value x, const Shape& shape);

/// Floats round to nearest even; integers truncate and saturate. The same dtype gives x itself.
Value cast(Value x, DType dtype, SourceLocation loc = SourceLocation::current());
/// Axis i of the result is axis perm[i] of x.
Value transpose(Value x, std::vector<std::int64_t> perm,
                SourceLocation loc = SourceLocation::current());
/// 1 at each label (i32 or i64, 0 ... depth-1), 0 elsewhere, along a new last axis.
Value one_hot(Value labels, std::int64_t depth, DType dtype = DType::f32,
              SourceLocation loc = SourceLocation::current());
/// Largest element over `axes` (as in sum).
Value reduce_max(Value x, std::vector<std::int64_t> axes, bool keep_dims = false,
                 SourceLocation loc = SourceLocation::current());
/// Mean over `axes` (as in sum).
Value mean(Value x, std::vector<std::int64_t> axes, bool keep_dims = false,
           SourceLocation loc = SourceLocation::current());
/// [...,M,K] by [...,K,N] (rank 2 to 4, equal leading dimensions); a transposed operand is stored
/// with its last two axes swapped.
Value matmul(Value a, Value b, bool transpose_a = false, bool transpose_b = false,
             SourceLocation loc = SourceLocation::current());
Value matmul(Value a, Value b, const MatmulOptions& options,
             SourceLocation loc = SourceLocation::current());

Value softmax(Value x, std::int64_t axis = -1, SourceLocation loc = SourceLocation::current());
Value log_softmax(Value x, std::int64_t axis = -1, SourceLocation loc = SourceLocation::current());
/// Loss of each sample: logits [N,C], labels i32[N] -> [N], f32 (f64 for f64 logits).
Value cross_entropy(Value logits, Value labels, double label_smoothing = 0.0,
                    SourceLocation loc = SourceLocation::current());
/// Loss of each sample: logits and target probabilities [N,C] -> [N].
Value cross_entropy_probs(Value logits, Value probs,
                          SourceLocation loc = SourceLocation::current());

/// What an update rule reads of one tensor, and what it gives back.
struct OptimizerOperand {
  Value parameter;
  Value gradient;
  std::vector<Value> states;
};
struct OptimizerResult {
  Value parameter;
  std::vector<Value> states;
};
/// Applies `rule`, a program from (scalars..., p, g, states...) to (p, states...), to every element
/// of every tensor. All operands but the gradients have one dtype; scalars have rank 0.
std::vector<OptimizerResult> optimizer_update(const ScalarProgram& rule,
                                              std::span<const Value> scalars,
                                              std::span<const OptimizerOperand> tensors,
                                              SourceLocation loc = SourceLocation::current());

/// x[N,C,H,W] with w[O,C/groups,kH,kW].
Value conv2d(Value x, Value w, const Conv2dOptions& options = {},
             SourceLocation loc = SourceLocation::current());
/// Gradient of conv2d(x, w) for its result's gradient g: that of an x of `input_shape`.
Value conv2d_input_grad(Value g, Value w, const Shape& input_shape,
                        const Conv2dOptions& options = {},
                        SourceLocation loc = SourceLocation::current());
/// That of a w of `weight_shape`.
Value conv2d_weight_grad(Value x, Value g, const Shape& weight_shape,
                         const Conv2dOptions& options = {},
                         SourceLocation loc = SourceLocation::current());
Value max_pool2d(Value x, const MaxPool2dOptions& options = {},
                 SourceLocation loc = SourceLocation::current());
/// Gradient of y = max_pool2d(x): g goes to the first maximum of each window.
Value max_pool2d_grad(Value x, Value y, Value g, const MaxPool2dOptions& options = {},
                      SourceLocation loc = SourceLocation::current());
Value avg_pool2d(Value x, const AvgPool2dOptions& options = {},
                 SourceLocation loc = SourceLocation::current());
/// Gradient of avg_pool2d for an x of `input_shape`.
Value avg_pool2d_grad(Value g, const Shape& input_shape, const AvgPool2dOptions& options = {},
                      SourceLocation loc = SourceLocation::current());
/// [N,C,H,W] to [N,C,1,1].
Value global_avg_pool2d(Value x, SourceLocation loc = SourceLocation::current());

/// Mean and biased variance over `axes` (negative ones count from the end; empty: all), which the
/// results do not have.
Moments moments(Value x, std::vector<std::int64_t> axes,
                SourceLocation loc = SourceLocation::current());
/// Normalises x[N,C,...] by the statistics of the batch; gamma and beta are [C].
BatchNorm batch_norm(Value x, Value gamma, Value beta, double eps = 1e-5,
                     SourceLocation loc = SourceLocation::current());
/// Gradient of batch_norm's y, from the statistics it gave.
BatchNormGrad batch_norm_grad(Value x, Value g, Value gamma, Value mean, Value var,
                              double eps = 1e-5, SourceLocation loc = SourceLocation::current());
/// Normalises by given statistics, as in evaluation.
Value batch_norm_inference(Value x, Value gamma, Value beta, Value mean, Value var,
                           double eps = 1e-5, SourceLocation loc = SourceLocation::current());

/// Elements starts[i], starts[i] + steps[i], ... below stops[i] of each axis; 0 <= start <= stop <=
/// size; no steps: 1.
Value slice(Value x, std::vector<std::int64_t> starts, std::vector<std::int64_t> stops,
            std::vector<std::int64_t> steps = {}, SourceLocation loc = SourceLocation::current());

/// Elements put before, after and between (empty: none) those of each axis.
struct Padding {
  std::vector<std::int64_t> low;
  std::vector<std::int64_t> high;
  std::vector<std::int64_t> interior = {};
};
Value pad(Value x, const Padding& padding, double value = 0.0,
          SourceLocation loc = SourceLocation::current());

/// Operands one after another along `axis` (negative ones count from the end).
Value concat(std::vector<Value> values, std::int64_t axis,
             SourceLocation loc = SourceLocation::current());
/// x's slices along `axis` at `indices` (i32 or i64): the axis gives way to the indices' shape.
Value gather(Value x, Value indices, std::int64_t axis = 0,
             SourceLocation loc = SourceLocation::current());
/// Gradient of gather for its result's gradient g; `size` is x's size on `axis` (not negative).
Value gather_grad(Value g, Value indices, std::int64_t size, std::int64_t axis = 0,
                  SourceLocation loc = SourceLocation::current());
/// i32 index of the first largest element along `axis`, which goes away.
Value argmax(Value x, std::int64_t axis = -1, SourceLocation loc = SourceLocation::current());

/// Each image of x[N,C,H,W] moved and mirrored by its row of `moves`, i32 [N,3]: element (h, w) is
/// x's at (h + down, w' + right), w' = W - 1 - w where `mirror` is not 0, and 0 outside the image.
Value crop_flip(Value x, Value moves, SourceLocation loc = SourceLocation::current());

/// bool[]: whether no element of any operand is infinite or NaN; true without operands.
Value all_finite(Graph& graph, std::vector<Value> operands,
                 SourceLocation loc = SourceLocation::current());

/// What random numbers are a function of, beside the element's index: i64 scalars and a number
/// fixed when the graph is built (0 ... 2^32-1), different for each use.
struct RandomSource {
  Value seed;
  Value step;
  std::int64_t stream = 0;
};
Value rng_uniform(const RandomSource& source, const Shape& shape, double low = 0.0,
                  double high = 1.0, DType dtype = DType::f32,
                  SourceLocation loc = SourceLocation::current());
Value rng_normal(const RandomSource& source, const Shape& shape, double mean = 0.0,
                 double std = 1.0, DType dtype = DType::f32,
                 SourceLocation loc = SourceLocation::current());
/// 1 with `probability`, else 0.
Value rng_bernoulli(const RandomSource& source, const Shape& shape, double probability,
                    DType dtype = DType::boolean, SourceLocation loc = SourceLocation::current());

}  // namespace ingot::ops
