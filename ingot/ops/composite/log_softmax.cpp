#include "ingot/ops/composite/softmax_body.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"

namespace ingot {
namespace {

std::vector<Value> body(const Node& node, std::span<const Value> inputs) {
  const SoftmaxParts parts = softmax_parts(widen(inputs[0]), node.integer("axis"));
  return {ops::cast(parts.shifted - ops::log(parts.total, {}), inputs[0].dtype(), {})};
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const Value g = ctx.grads[0];
  const Value y = ops::exp(ctx.outputs[0], {});
  return {g - y * ops::sum(g, {ctx.node.integer("axis")}, true, {})};
}

std::vector<BadCase> bad_cases() {
  return {{"axis",
           {{DType::f32, {2, 3}}},
           {{"axis", -3}},
           "C1",
           "log_softmax \"op\": axis must be within the rank, got axis -3 of f32[2,3]"},
          {"integers",
           {{DType::i32, {2, 3}}},
           {},
           "C2",
           "log_softmax \"op\": operand must be floating point, got i32[2,3]"},
          {"empty axis",
           {{DType::f32, {2, 0}}},
           {},
           "C3",
           "log_softmax \"op\": axis must hold an element, got f32[2,0]"}};
}

}  // namespace

const OpDef& log_softmax_op() {
  static const OpDef def = softmax_record({.name = "log_softmax",
                                           .summary = "logarithms of softmax",
                                           .formula = "y = x - log of the sum of e^x over the axis",
                                           .gradient = {gradient},
                                           .body = body,
                                           .bad_cases = bad_cases});
  return def;
}

namespace ops {

Value log_softmax(Value x, std::int64_t axis, SourceLocation loc) {
  return x.graph().add(log_softmax_op(), {x}, {{"axis", axis}}, {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
