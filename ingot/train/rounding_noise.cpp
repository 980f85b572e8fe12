#include "ingot/train/rounding_noise.h"

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "ingot/base/roundoff.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "ingot/passes/pass.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"
#include "ingot/runtime/backend.h"

namespace ingot::train {
namespace {

// The variables that hold the errors' seed and count their draws.
constexpr double kNoiseSeed = 31;
constexpr const char* kSeed = "rounding_noise.seed";
constexpr const char* kDraw = "rounding_noise.draw";
// tf32 keeps as many bits of an operand as f16 does.
constexpr double kTf32Roundoff = 0x1p-11;

/// Multiplies Values by random factors near 1.
class Noise {
 public:
  Noise(Graph& graph, double times)
      : times_(times),
        seed_(graph.variable(kSeed, {DType::i64, {}}, Initializer::constant(kNoiseSeed),
                             VariableRole::counter)),
        draw_(graph.variable(kDraw, {DType::i64, {}}, Initializer::constant(0),
                             VariableRole::counter)) {
    graph.assign(draw_, draw_ + 1.0);
  }

  Value operator()(Value value, double size) {
    if (size == 0) return value;
    const DType wide = value.dtype() == DType::f64 ? DType::f64 : DType::f32;
    const Value exact = ops::cast(value, wide);
    const Value error = ops::rng_uniform({seed_, draw_, stream_++}, value.shape(), -times_ * size,
                                         times_ * size, wide);
    return ops::cast(exact + exact * error, value.dtype());
  }

 private:
  double times_;
  Value seed_;
  Value draw_;
  std::int64_t stream_ = 0;
};

/// What the rounding of a sum of f32 or f64 numbers comes to, relatively to its terms; 0 for no
/// sum.
double sum_error(const Node& node, DType accumulated) {
  const OpDef& op = node.op();
  if (op.reduction_length == nullptr) return 0;
  return unit_roundoff(accumulated) * std::sqrt(static_cast<double>(op.reduction_length(node)));
}

/// What an operand may be wrong by for the result to be the exact one.
double operand_error(const Node& node, DType operand) {
  if (operand != DType::f32 && operand != DType::f64) return 0;
  const bool tf32 = node.op().traits.contraction && node.attr<std::string>("math") == "tf32";
  return sum_error(node, operand) + (tf32 ? kTf32Roundoff : 0);
}

/// What a result may be wrong by besides: of narrow operands, which no small error changes, that of
/// the sum too.
double result_error(const Node& node, int output) {
  const DType dtype = node.output_type(static_cast<std::size_t>(output)).dtype;
  const bool narrow = !node.inputs().empty() && operand_error(node, node.input_type(0).dtype) == 0;
  const double own = unit_roundoff(dtype);
  return own == 0 || !narrow ? own : own + sum_error(node, DType::f32);
}

}  // namespace

std::unique_ptr<Graph> with_rounding_noise(const Graph& graph, double times) {
  // One that claims no composite.
  const std::shared_ptr<Backend> plain = make_backend("reference");
  PassContext context(*plain);
  const std::unique_ptr<Graph> inlined = lower_composites(graph, context);
  Rewriter rewriter(*inlined);
  Noise noise(rewriter.graph(), times);
  for (const auto& node : inlined->nodes()) {
    if (rewriter.done(*node)) continue;
    const Traits& traits = node->op().traits;
    if (traits.source || traits.side_effect || traits.random || traits.view) {
      rewriter.clone(*node);
      continue;
    }
    std::vector<Value> operands = rewriter.map_inputs(*node);
    for (Value& operand : operands) operand = noise(operand, operand_error(*node, operand.dtype()));
    Node* const now = rewriter.clone(*node, std::move(operands));
    for (std::size_t i = 0; i < now->outputs().size(); ++i) {
      const Value result = now->output(static_cast<int>(i));
      rewriter.replace({node.get(), static_cast<int>(i)},
                       noise(result, result_error(*node, static_cast<int>(i))));
    }
  }
  return rewriter.finish();
}

}  // namespace ingot::train
