#include "ingot/ops/composite/batch_norm_body.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType parameter = check_batch_norm(ctx, 2);
  ctx.require(ctx.input(1) == ctx.input(0), "C7");
  ctx.require(batch_norm_count(ctx.input(0).shape) > 0, "C6");
  return {ctx.input(0), parameter, parameter};
}

std::vector<Value> body(const Node& node, std::span<const Value> inputs) {
  const Shape& shape = inputs[0].shape();
  const Value gamma = inputs[2];
  const Value x = ops::cast(inputs[0], gamma.dtype(), {});
  const Value g = ops::cast(inputs[1], gamma.dtype(), {});
  const Value rstd = batch_norm_rstd(inputs[4], node);
  const Value normalized = (x - per_channel(inputs[3], shape)) * per_channel(rstd, shape);
  const std::vector<std::int64_t> axes = batch_norm_axes(shape);
  const Value dbeta = ops::sum(g, axes, false, {});
  const Value dgamma = ops::sum(g * normalized, axes, false, {});
  const double scale = 1.0 / batch_norm_count(shape);
  const Value centred =
      g - per_channel(dbeta * scale, shape) - normalized * per_channel(dgamma * scale, shape);
  const Value dx = centred * per_channel(gamma * rstd, shape);
  return {ops::cast(dx, inputs[0].dtype(), {}), dgamma, dbeta};
}

// With the statistics given, gamma's and beta's gradients are sums of per-item terms; dx needs
// those sums.
std::vector<BatchResult> batch(const Node&, std::span<const int> axes) {
  const auto none = [&](std::size_t from) {
    for (std::size_t i = from; i < axes.size(); ++i) {
      if (axes[i] >= 0) return false;
    }
    return true;
  };
  if (none(0)) return std::vector<BatchResult>(3, {BatchKind::none, -1});
  std::vector<BatchResult> results(3);
  if (axes[0] == 0 && axes[1] == 0 && none(2)) {
    results[1] = results[2] = {BatchKind::reduced, -1};
  }
  return results;
}

std::vector<OpCase> cases() {
  const auto operands = [](const Shape& x) {
    const TensorType c{DType::f32, {x[1]}};
    return std::vector<CaseInput>{
        {{DType::f32, x}, -1, 3}, {{DType::f32, x}}, {c, 0.5, 1.5}, {c, 0.5, 1.5}, {c, 0.5, 2.0}};
  };
  return {{"images", operands({4, 8, 5, 6}), {}},
          {"features", operands({16, 5}), {}},
          {"sequence", operands({3, 4, 7}), {{"eps", 1e-3}}}};
}

std::vector<BadCase> bad_cases() {
  const TensorType x{DType::f32, {4, 8, 5, 5}};
  const TensorType c{DType::f32, {8}};
  return {{"gradient's shape",
           {x, {DType::f32, {4, 8, 5, 4}}, c, c, c},
           {},
           "C7",
           "batch_norm_grad \"op\": gradient must have the input's type, got f32[4,8,5,5], "
           "f32[4,8,5,4], f32[8], f32[8], f32[8]"},
          {"statistics' shape",
           {x, x, c, {DType::f32, {1, 8, 1, 1}}, c},
           {},
           "C3",
           "batch_norm_grad \"op\": gamma, mean and var must have shape [C], got f32[4,8,5,5], "
           "f32[4,8,5,5], f32[8], f32[1,8,1,1], f32[8]"},
          {"negative eps",
           {x, x, c, c, c},
           {{"eps", -1.0}},
           "C5",
           "batch_norm_grad \"op\": eps must be positive and finite, got eps -1"},
          {"integers",
           {{DType::i32, {4, 8}}, {DType::i32, {4, 8}}, c, c, c},
           {},
           "C1",
           "batch_norm_grad \"op\": input must be floating point, got i32[4,8], i32[4,8], f32[8], "
           "f32[8], f32[8]"},
          {"rank 1",
           {c, c, c, c, c},
           {},
           "C2",
           "batch_norm_grad \"op\": input must have rank 2 or more, [N, C, ...], got f32[8], "
           "f32[8], f32[8], f32[8], f32[8]"},
          {"dtypes differ",
           {x, x, c, {DType::f64, {8}}, c},
           {},
           "C4",
           "batch_norm_grad \"op\": per-channel operands must have one dtype, the input's or f32, "
           "got f32[4,8,5,5], f32[4,8,5,5], f32[8], f64[8], f32[8]"},
          {"empty batch",
           {{DType::f32, {0, 8}}, {DType::f32, {0, 8}}, c, c, c},
           {},
           "C6",
           "batch_norm_grad \"op\": a channel must hold an element, got f32[0,8], f32[0,8], "
           "f32[8], f32[8], f32[8]"}};
}

}  // namespace

const OpDef& batch_norm_grad_op() {
  static const OpDef def{
      .name = "batch_norm_grad",
      .summary = "gradient of batch_norm's y, from its input and the statistics it gave",
      .formula =
          "n = (x - mean) rstd, dbeta = sum g, dgamma = sum g n, dx = gamma rstd / M (M g - "
          "dbeta - n dgamma) with rstd = 1 / sqrt(var + eps), M elements a channel",
      .inputs = {{"x", "[N, C, ...]"},
                 {"g", "y's gradient"},
                 {"gamma", "[C], x's dtype or f32"},
                 {"mean", "[C], gamma's dtype"},
                 {"var", "[C], biased"}},
      .outputs = {{"dx", "x's shape"}, {"dgamma", "[C], gamma's dtype"}, {"dbeta", "[C]"}},
      .attrs = batch_norm_attrs(),
      .constraints =
          [] {
            std::vector<Constraint> rules =
                batch_norm_training_constraints("gamma, mean and var must have shape [C]");
            rules.push_back({"C7", "gradient must have the input's type"});
            return rules;
          }(),
      .infer = infer,
      .gradient = {.not_differentiable = "batch norm can be differentiated once"},
      .batch = batch,
      .cost = batch_norm_cost,
      .traits = {.composite = true},
      .f32_operands = {2, 3, 4},
      .reduction_length = batch_norm_reduction_length,
      .body = body,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

BatchNormGrad batch_norm_grad(Value x, Value g, Value gamma, Value mean, Value var, double eps,
                              SourceLocation loc) {
  Node* node =
      x.graph().add(batch_norm_grad_op(), {x, g, gamma, mean, var}, {{"eps", eps}}, {}, loc);
  return {node->output(0), node->output(1), node->output(2)};
}

}  // namespace ops
}  // namespace ingot
