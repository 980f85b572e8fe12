#include "ingot/ops/composite/softmax_body.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"

namespace ingot {
namespace {

std::vector<Value> body(const Node& node, std::span<const Value> inputs) {
  const SoftmaxParts parts = softmax_parts(widen(inputs[0]), node.integer("axis"));
  return {ops::cast(parts.exps / parts.total, inputs[0].dtype(), {})};
}

std::vector<Value> gradient(const GradientContext& ctx) {
  return {softmax_gradient(ctx.outputs[0], ctx.grads[0], ctx.node.integer("axis"))};
}

std::vector<BadCase> bad_cases() {
  return {{"axis",
           {{DType::f32, {2, 3}}},
           {{"axis", 2}},
           "C1",
           "softmax \"op\": axis must be within the rank, got axis 2 of f32[2,3]"},
          {"integers",
           {{DType::i32, {2, 3}}},
           {},
           "C2",
           "softmax \"op\": operand must be floating point, got i32[2,3]"},
          {"empty axis",
           {{DType::f32, {2, 0}}},
           {},
           "C3",
           "softmax \"op\": axis must hold an element, got f32[2,0]"}};
}

}  // namespace

const OpDef& softmax_op() {
  static const OpDef def = softmax_record({.name = "softmax",
                                           .summary = "probabilities from logits",
                                           .formula = "y = e^x / sum of e^x over the axis",
                                           .gradient = {gradient},
                                           .body = body,
                                           .bad_cases = bad_cases});
  return def;
}

namespace ops {

Value softmax(Value x, std::int64_t axis, SourceLocation loc) {
  return x.graph().add(softmax_op(), {x}, {{"axis", axis}}, {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
