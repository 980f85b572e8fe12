#include "ingot/ops/reduction.h"

#include <fmt/core.h>

#include <algorithm>

#include "ingot/ops/ops.h"

namespace ingot {
namespace {

std::vector<BatchResult> batch(const Node& node, std::span<const int> input_axes) {
  return reduction_batch(node, input_axes[0], BatchKind::reduced);
}

Cost cost(const Node& node) {
  Cost result = streaming_cost(node, 0);
  result.flops = static_cast<double>(node.input_type(0).numel());
  return result;
}

std::vector<OpCase> cases() {
  return {{"all", {{{DType::f32, {3, 5, 7}}}}, {{"axes", std::vector<std::int64_t>{}}}},
          {"last", {{{DType::f32, {4, 33}}}}, {{"axes", {-1}}}},
          {"first", {{{DType::f32, {33, 4}}}}, {{"axes", {0}}}},
          {"spatial", {{{DType::f32, {2, 8, 5, 6}}}}, {{"axes", {2, 3}}}},
          {"channels", {{{DType::f32, {3, 8, 4, 4}}}}, {{"axes", {0, 2, 3}}, {"keep_dims", true}}},
          {"middle", {{{DType::f32, {2, 7, 3}}}}, {{"axes", {1}}, {"keep_dims", true}}}};
}

}  // namespace

std::vector<TensorType> infer_reduction(const InferContext& ctx) {
  const TensorType& x = ctx.input(0);
  const auto axes = normalize_axes(ctx.integers("axes"), x.shape.rank());
  ctx.require(axes.has_value(), "C1", [&] {
    return fmt::format("axes {} of {}", to_string(AttrValue(ctx.integers("axes"))), x.to_string());
  });
  ctx.require(x.dtype != DType::boolean, "C2");
  Shape shape;
  for (int axis = 0; axis < x.shape.rank(); ++axis) {
    const bool reduced = std::binary_search(axes->begin(), axes->end(), axis);
    if (!reduced) shape.push_back(x.shape[axis]);
    if (reduced && ctx.attr<bool>("keep_dims")) shape.push_back(1);
  }
  return {{x.dtype, shape}};
}

std::vector<BatchResult> reduction_batch(const Node& node, int axis, BatchKind if_reduced) {
  if (axis < 0) return {{BatchKind::none, -1}};
  const std::vector<int> axes = reduced_axes(node);
  if (std::binary_search(axes.begin(), axes.end(), axis)) return {{if_reduced, -1}};
  const auto before = std::lower_bound(axes.begin(), axes.end(), axis) - axes.begin();
  return {{BatchKind::kept, node.attr<bool>("keep_dims") ? axis : axis - static_cast<int>(before)}};
}

OpDef reduction_record(OpDef op) {
  op.inputs = {{"x", "any shape"}};
  op.outputs = {{"y", "the shape without the reduced axes, or with size 1 there"}};
  op.attrs = {
      {"axes", AttrKind::integers, "reduced axes; negative ones count from the end; empty: all"},
      {"keep_dims", AttrKind::boolean, "keep reduced axes with size 1", AttrValue(false)}};
  op.constraints.insert(op.constraints.begin(),
                        {{"C1", "axes must be distinct and within the rank"},
                         {"C2", "operand must be a number", "convert it with cast"}});
  if (op.infer == nullptr) op.infer = infer_reduction;
  if (op.batch == nullptr) op.batch = batch;
  op.cost = cost;
  op.traits.reduction = !op.traits.composite;
  op.reduction_length = reduction_length;
  if (op.cases == nullptr) op.cases = cases;
  return op;
}

std::vector<int> reduced_axes(const Node& node) {
  return *normalize_axes(node.integers("axes"), node.input_type(0).shape.rank());
}

std::int64_t reduction_length(const Node& node) {
  std::int64_t n = 1;
  for (const int axis : reduced_axes(node)) n *= node.input_type(0).shape[axis];
  return n;
}

Value expand_reduced(const Node& node, Value value) {
  const Shape& shape = node.input_type(0).shape;
  Shape kept = shape;
  for (const int axis : reduced_axes(node)) kept[axis] = 1;
  if (value.shape() != kept) value = ops::reshape(value, kept, {});
  return ops::broadcast_to(value, shape, {});
}

namespace ops {

Value add_reduction(const OpDef& op, Value x, std::vector<std::int64_t> axes, bool keep_dims,
                    SourceLocation loc) {
  return x.graph()
      .add(op, {x}, {{"axes", std::move(axes)}, {"keep_dims", keep_dims}}, {}, loc)
      ->output();
}

}  // namespace ops
}  // namespace ingot
