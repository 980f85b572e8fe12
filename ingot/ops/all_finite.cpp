#include <algorithm>
#include <cmath>

#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  for (const TensorType& type : ctx.inputs()) ctx.require(is_float(type.dtype), "C1");
  return {{DType::boolean, {}}};
}

void reference(const ReferenceContext& ctx) {
  bool all = true;
  for (const HostView& x : ctx.inputs) {
    for (std::int64_t i = 0; i < x.numel(); ++i) all = all && std::isfinite(x.get(i));
  }
  ctx.outputs[0].set_int(0, all ? 1 : 0);
}

std::vector<BatchResult> batch(const Node&, std::span<const int> axes) {
  const bool none = std::all_of(axes.begin(), axes.end(), [](int axis) { return axis < 0; });
  return {{none ? BatchKind::none : BatchKind::mixed, -1}};
}

Cost cost(const Node& node) {
  Cost result = streaming_cost(node, 0);
  for (const Value& input : node.inputs()) {
    result.flops += static_cast<double>(input.type().numel());
  }
  return result;
}

std::vector<OpCase> cases() {
  return {{"one", {{{DType::f32, {3, 5}}}}, {}, false},
          {"several",
           {{{DType::f32, {70, 33}}}, {{DType::f16, {8}}}, {{DType::bf16, {4, 3, 3, 3}}}},
           {},
           false},
          {"large", {{{DType::f32, {3, 7000}}}, {{DType::f32, {}}}}, {}, false},
          {"empty", {{{DType::f32, {0}}}}, {}, false}};
}

std::vector<BadCase> bad_cases() {
  return {{"integers",
           {{DType::f32, {2}}, {DType::i32, {3}}},
           {},
           "C1",
           "all_finite \"op\": operands must be floating point, got f32[2], i32[3]"}};
}

}  // namespace

const OpDef& all_finite_op() {
  static const OpDef def{.name = "all_finite",
                         .summary = "whether no element of any operand is infinite or NaN",
                         .formula = "y = and over operands x and elements i of is_finite(x[i])",
                         .inputs = {{"operands", "any shapes", true}},
                         .outputs = {{"y", "bool[]"}},
                         .constraints = {{"C1", "operands must be floating point"}},
                         .infer = infer,
                         .gradient = {.not_differentiable = "its result is bool"},
                         .reference = reference,
                         .batch = batch,
                         .cost = cost,
                         .traits = {.any_layouts = true},
                         .cases = cases,
                         .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value all_finite(Graph& graph, std::vector<Value> operands, SourceLocation loc) {
  return graph.add(all_finite_op(), std::move(operands), {}, {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
