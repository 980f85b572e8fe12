#include "ingot/ops/composite/softmax_body.h"

#include <fmt/core.h>

#include "ingot/ops/operators.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType& x = ctx.input(0);
  const std::int64_t axis = ctx.integer("axis");
  const int rank = x.shape.rank();
  ctx.require(axis >= -rank && axis < rank, "C1",
              [&] { return fmt::format("axis {} of {}", axis, x.to_string()); });
  ctx.require(is_float(x.dtype), "C2");
  ctx.require(x.shape[static_cast<int>((axis + rank) % rank)] > 0, "C3");
  return {x};
}

std::vector<BatchResult> batch(const Node& node, std::span<const int> input_axes) {
  const int rank = node.output_type().shape.rank();
  const std::int64_t axis = (node.integer("axis") + rank) % rank;
  if (input_axes[0] == axis) return {{BatchKind::mixed, -1}};
  return {{input_axes[0] < 0 ? BatchKind::none : BatchKind::kept, input_axes[0]}};
}

std::vector<OpCase> cases() {
  return {{"rows", {{{DType::f32, {4, 10}}, -3, 3}}, {}},
          {"large", {{{DType::f32, {3, 7}}, -200, 200}}, {}, false},
          {"channels", {{{DType::f32, {2, 5, 3, 2}}, -3, 3}}, {{"axis", 1}}},
          {"first", {{{DType::f32, {6, 2}}, -3, 3}}, {{"axis", 0}}},
          {"one", {{{DType::f32, {3, 1}}, -3, 3}}, {}},
          {"half", {{{DType::f16, {3, 9}}, -3, 3}}, {}},
          {"empty", {{{DType::f32, {0, 3}}}}, {}}};
}

std::int64_t length(const Node& node) {
  const Shape& shape = node.input_type(0).shape;
  const int rank = shape.rank();
  return shape[static_cast<int>((node.integer("axis") + rank) % rank)];
}

std::vector<BatchResult> loss_batch(const Node& node, std::span<const int> input_axes) {
  bool any = false;
  bool all = true;
  for (const int axis : input_axes) {
    any |= axis >= 0;
    all &= axis == 0;
  }
  const BatchResult result = !any  ? BatchResult{BatchKind::none, -1}
                             : all ? BatchResult{BatchKind::kept, 0}
                                   : BatchResult{BatchKind::mixed, -1};
  return std::vector<BatchResult>(node.outputs().size(), result);
}

}  // namespace

Value widen(Value x) { return ops::cast(x, accumulate_dtype(x.dtype()), {}); }

SoftmaxParts softmax_parts(Value x, std::int64_t axis) {
  const Value shifted = x - ops::reduce_max(x, {axis}, true, {});
  const Value exps = ops::exp(shifted, {});
  return {shifted, exps, ops::sum(exps, {axis}, true, {})};
}

Value softmax_gradient(Value y, Value g, std::int64_t axis) {
  return y * (g - ops::sum(g * y, {axis}, true, {}));
}

OpDef softmax_record(OpDef op) {
  op.inputs = {{"x", "any shape of rank 1 or more"}};
  op.outputs = {{"y", "x's shape"}};
  op.attrs = {{"axis", AttrKind::integer,
               "the axis whose elements compete; negative ones count "
               "from the end",
               AttrValue(std::int64_t{-1})}};
  op.constraints = {{"C1", "axis must be within the rank"},
                    {"C2", "operand must be floating point", "convert it with cast"},
                    {"C3", "axis must hold an element"}};
  op.infer = infer;
  op.batch = batch;
  op.f32_operands = {0};
  op.cost = [](const Node& node) { return streaming_cost(node, 5); };
  op.traits.composite = true;
  op.reduction_length = length;
  op.cases = cases;
  return op;
}

Value as_column(Value v) { return ops::reshape(v, {v.shape()[0], 1}, {}); }

OpDef loss_record(OpDef op) {
  op.batch = loss_batch;
  op.cost = [](const Node& node) {
    Cost cost = streaming_cost(node, 0);
    cost.flops = 8.0 * static_cast<double>(node.input_type(0).numel());
    return cost;
  };
  op.traits.composite = true;
  op.reduction_length = [](const Node& node) { return node.input_type(0).shape[1]; };
  return op;
}

}  // namespace ingot
