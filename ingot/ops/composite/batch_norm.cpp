#include "ingot/ops/composite/batch_norm_body.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType statistics = check_batch_norm(ctx, 1);
  ctx.require(batch_norm_count(ctx.input(0).shape) > 0, "C6");
  return {ctx.input(0), statistics, statistics};
}

std::vector<Value> body(const Node& node, std::span<const Value> inputs) {
  const Value x = ops::cast(inputs[0], inputs[1].dtype(), {});
  const Moments m = ops::moments(x, batch_norm_axes(x.shape()), {});
  return {batch_norm_apply(node, inputs[0], inputs[1], inputs[2], m.mean, m.var), m.mean, m.var};
}

// Ioffe and Szegedy 2015, section 3, from x and the statistics alone: nothing else is kept for the
// backward pass.
std::vector<Value> gradient(const GradientContext& ctx) {
  const Value x = ctx.inputs[0];
  const Shape& shape = x.shape();
  const Value mean = ctx.outputs[1];
  BatchNormGrad grad;
  if (ctx.grads[0]) {
    grad = ops::batch_norm_grad(x, ctx.grads[0], ctx.inputs[1], mean, ctx.outputs[2],
                                ctx.node.attr<double>("eps"), {});
  }
  // A loss on the statistics themselves is rare (running averages carry no gradient).
  const double scale = 1.0 / batch_norm_count(shape);
  const auto add_to_dx = [&](Value part) {
    part = ops::cast(part, x.dtype(), {});
    grad.dx = grad.dx ? grad.dx + part : part;
  };
  if (ctx.grads[1]) {
    add_to_dx(ops::broadcast_to(per_channel(ctx.grads[1] * scale, shape), shape, {}));
  }
  if (ctx.grads[2]) {
    const Value centred = ops::cast(x, mean.dtype(), {}) - per_channel(mean, shape);
    add_to_dx(centred * per_channel(ctx.grads[2] * (2.0 * scale), shape));
  }
  return {grad.dx, grad.dgamma, grad.dbeta};
}

std::vector<BatchResult> batch(const Node&, std::span<const int> axes) {
  for (const int axis : axes) {
    if (axis >= 0) return std::vector<BatchResult>(3);
  }
  return std::vector<BatchResult>(3, {BatchKind::none, -1});
}

std::vector<OpCase> cases() {
  const auto operands = [](const Shape& x) {
    const TensorType c{DType::f32, {x[1]}};
    return std::vector<CaseInput>{{{DType::f32, x}, -1, 3}, {c, 0.5, 1.5}, {c}};
  };
  return {{"images", operands({4, 8, 5, 6}), {}},
          {"features", operands({16, 5}), {}},
          {"sequence", operands({3, 4, 7}), {{"eps", 1e-3}}},
          {"one image", operands({1, 3, 4, 4}), {}},
          {"large eps", operands({2, 3, 4, 4}), {{"eps", 0.5}}}};
}

std::vector<BadCase> bad_cases() {
  const TensorType x{DType::f32, {4, 8, 5, 5}};
  const TensorType c{DType::f32, {8}};
  return {{"integers",
           {{DType::i32, {4, 8}}, c, c},
           {},
           "C1",
           "batch_norm \"op\": input must be floating point, got i32[4,8], f32[8], f32[8]"},
          {"rank 1",
           {{DType::f32, {8}}, c, c},
           {},
           "C2",
           "batch_norm \"op\": input must have rank 2 or more, [N, C, ...], got f32[8], f32[8], "
           "f32[8]"},
          {"gamma's size",
           {x, {DType::f32, {5}}, c},
           {},
           "C3",
           "batch_norm \"op\": gamma and beta must have shape [C], got f32[4,8,5,5], f32[5], "
           "f32[8]"},
          {"channels last",
           {{DType::f32, {4, 5, 5, 8}}, c, c},
           {},
           "C3",
           "batch_norm \"op\": gamma and beta must have shape [C], got f32[4,5,5,8], f32[8], "
           "f32[8]"},
          {"dtypes differ",
           {x, c, {DType::f64, {8}}},
           {},
           "C4",
           "batch_norm \"op\": per-channel operands must have one dtype, the input's or f32, got "
           "f32[4,8,5,5], f32[8], f64[8]"},
          {"narrow gamma",
           {x, {DType::f16, {8}}, {DType::f16, {8}}},
           {},
           "C4",
           "batch_norm \"op\": per-channel operands must have one dtype, the input's or f32, got "
           "f32[4,8,5,5], f16[8], f16[8]"},
          {"eps 0",
           {x, c, c},
           {{"eps", 0.0}},
           "C5",
           "batch_norm \"op\": eps must be positive and finite, got eps 0"},
          {"empty batch",
           {{DType::f32, {0, 8, 5, 5}}, c, c},
           {},
           "C6",
           "batch_norm \"op\": a channel must hold an element, got f32[0,8,5,5], f32[8], f32[8]"}};
}

}  // namespace

const OpDef& batch_norm_op() {
  static const OpDef def{
      .name = "batch_norm",
      .summary = "normalises each channel by the mean and variance of the batch",
      .formula =
          "y = gamma (x - mean) / sqrt(var + eps) + beta, mean and biased variance over "
          "every axis but 1",
      .inputs = {{"x", "[N, C, ...]"},
                 {"gamma", "[C], x's dtype or f32"},
                 {"beta", "[C], gamma's dtype"}},
      .outputs = {{"y", "x's shape"}, {"mean", "[C], gamma's dtype"}, {"var", "[C], biased"}},
      .attrs = batch_norm_attrs(),
      .constraints = batch_norm_training_constraints("gamma and beta must have shape [C]"),
      .infer = infer,
      .gradient = {gradient},
      .batch = batch,
      .cost = batch_norm_cost,
      .traits = {.composite = true},
      .f32_operands = {1, 2},
      .reduction_length = batch_norm_reduction_length,
      .body = body,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

BatchNorm batch_norm(Value x, Value gamma, Value beta, double eps, SourceLocation loc) {
  Node* node = x.graph().add(batch_norm_op(), {x, gamma, beta}, {{"eps", eps}}, {}, loc);
  return {node->output(0), node->output(1), node->output(2)};
}

}  // namespace ops
}  // namespace ingot
