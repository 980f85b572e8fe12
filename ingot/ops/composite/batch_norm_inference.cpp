#include "ingot/ops/composite/batch_norm_body.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/window2d.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  check_batch_norm(ctx, 1);
  return {ctx.input(0)};
}

std::vector<Value> body(const Node& node, std::span<const Value> inputs) {
  return {batch_norm_apply(node, inputs[0], inputs[1], inputs[2], inputs[3], inputs[4])};
}

std::vector<OpCase> cases() {
  const auto operands = [](const Shape& x) {
    const TensorType c{DType::f32, {x[1]}};
    return std::vector<CaseInput>{
        {{DType::f32, x}, -1, 3}, {c, 0.5, 1.5}, {c}, {c, 0.5, 1.5}, {c, 0.5, 2.0}};
  };
  return {{"images", operands({4, 8, 5, 6}), {}},
          {"features", operands({16, 5}), {{"eps", 1e-3}}},
          {"one image", operands({1, 3, 1, 1}), {}},
          {"empty batch", operands({0, 3, 4, 4}), {}}};
}

std::vector<BadCase> bad_cases() {
  const TensorType c{DType::f32, {8}};
  return {{"statistics' size",
           {{DType::f32, {4, 8, 5, 5}}, c, c, c, {DType::f32, {1}}},
           {},
           "C3",
           "batch_norm_inference \"op\": gamma, beta, mean and var must have shape [C], got "
           "f32[4,8,5,5], f32[8], f32[8], f32[8], f32[1]"},
          {"rank 1",
           {c, c, c, c, c},
           {},
           "C2",
           "batch_norm_inference \"op\": input must have rank 2 or more, [N, C, ...], got f32[8], "
           "f32[8], f32[8], f32[8], f32[8]"},
          {"integers",
           {{DType::i32, {4, 8}}, c, c, c, c},
           {},
           "C1",
           "batch_norm_inference \"op\": input must be floating point, got i32[4,8], f32[8], "
           "f32[8], f32[8], f32[8]"},
          {"dtypes differ",
           {{DType::f32, {4, 8}}, c, c, c, {DType::f64, {8}}},
           {},
           "C4",
           "batch_norm_inference \"op\": per-channel operands must have one dtype, the input's or "
           "f32, got f32[4,8], f32[8], f32[8], f32[8], f64[8]"},
          {"eps 0",
           {{DType::f32, {4, 8}}, c, c, c, c},
           {{"eps", 0.0}},
           "C5",
           "batch_norm_inference \"op\": eps must be positive and finite, got eps 0"}};
}

}  // namespace

const OpDef& batch_norm_inference_op() {
  static const OpDef def{
      .name = "batch_norm_inference",
      .summary = "normalises each channel by a given mean and variance",
      .formula = "y = gamma (x - mean) / sqrt(var + eps) + beta",
      .inputs = {{"x", "[N, C, ...]"},
                 {"gamma", "[C], x's dtype or f32"},
                 {"beta", "[C], gamma's dtype"},
                 {"mean", "[C]"},
                 {"var", "[C]"}},
      .outputs = {{"y", "x's shape"}},
      .attrs = batch_norm_attrs(),
      .constraints = batch_norm_constraints("gamma, beta, mean and var must have shape [C]"),
      .infer = infer,
      .gradient = {.not_differentiable = "it is for evaluation; batch_norm is for training"},
      .batch = image_batch,
      .cost = batch_norm_cost,
      .traits = {.composite = true},
      .f32_operands = {1, 2, 3, 4},
      .body = body,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value batch_norm_inference(Value x, Value gamma, Value beta, Value mean, Value var, double eps,
                           SourceLocation loc) {
  return x.graph()
      .add(batch_norm_inference_op(), {x, gamma, beta, mean, var}, {{"eps", eps}}, {}, loc)
      ->output();
}

}  // namespace ops
}  // namespace ingot
