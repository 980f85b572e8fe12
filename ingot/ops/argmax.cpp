#include <fmt/core.h>

#include <cmath>

#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

int axis_of(const Node& node) {
  const auto axis = static_cast<int>(node.integer("axis"));
  return axis < 0 ? axis + node.input_type(0).shape.rank() : axis;
}

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType& x = ctx.input(0);
  const int rank = x.shape.rank();
  const std::int64_t given = ctx.integer("axis");
  const auto got = [&] { return fmt::format("axis {} of {}", given, x.to_string()); };
  ctx.require(given >= -rank && given < rank, "C1", got);
  const auto axis = static_cast<int>(given < 0 ? given + rank : given);
  ctx.require(x.dtype != DType::boolean, "C2");
  ctx.require(x.shape[axis] > 0, "C3", got);
  Shape shape;
  for (int i = 0; i < rank; ++i) {
    if (i != axis) shape.push_back(x.shape[i]);
  }
  return {{DType::i32, shape}};
}

void reference(const ReferenceContext& ctx) {
  const HostView& x = ctx.inputs[0];
  const int axis = axis_of(ctx.node);
  const std::int64_t size = x.type.shape[axis];
  const std::int64_t stride = x.type.shape.strides()[static_cast<std::size_t>(axis)];
  for (std::int64_t out = 0; out < ctx.outputs[0].numel(); ++out) {
    const std::int64_t first = out / stride * stride * size + out % stride;
    std::int64_t best = 0;
    for (std::int64_t k = 1; k < size; ++k) {
      const double top = x.get(first + best * stride);
      const double value = x.get(first + k * stride);
      if (value > top || (std::isnan(value) && !std::isnan(top))) best = k;
    }
    ctx.outputs[0].set_int(out, best);
  }
}

std::vector<BatchResult> batch(const Node& node, std::span<const int> axes) {
  const int axis = axis_of(node);
  if (axes[0] < 0) return {{BatchKind::none, -1}};
  if (axes[0] == axis) return {{BatchKind::mixed, -1}};
  return {{BatchKind::kept, axes[0] < axis ? axes[0] : axes[0] - 1}};
}

std::vector<OpCase> cases() {
  return {{"classes", {{{DType::f32, {6, 10}}}}, {{"axis", -1}}},
          {"channels", {{{DType::f32, {2, 5, 3, 3}}}}, {{"axis", 1}}},
          {"ties", {{{DType::i32, {4, 9}}, 0, 2}}, {{"axis", 1}}},
          {"vector", {{{DType::f32, {7}}}}, {{"axis", 0}}},
          {"empty", {{{DType::f32, {0, 3}}}}, {{"axis", 1}}}};
}

std::vector<BadCase> bad_cases() {
  return {{"axis",
           {{DType::f32, {4, 3}}},
           {{"axis", 2}},
           "C1",
           "argmax \"op\": axis must be within the rank, got axis 2 of f32[4,3]"},
          {"bool",
           {{DType::boolean, {4}}},
           {{"axis", 0}},
           "C2",
           "argmax \"op\": operand must be a number, got bool[4]"},
          {"nothing to choose from",
           {{DType::f32, {4, 0}}},
           {{"axis", 1}},
           "C3",
           "argmax \"op\": axis must hold an element, got axis 1 of f32[4,0]"}};
}

}  // namespace

const OpDef& argmax_op() {
  static const OpDef def{
      .name = "argmax",
      .summary = "index of the largest element along an axis; of equal ones the first; NaN wins",
      .inputs = {{"x", "rank 1 or more"}},
      .outputs = {{"y", "i32, x's shape without the axis"}},
      .attrs = {{"axis", AttrKind::integer, "negative ones count from the end",
                 AttrValue(std::int64_t{-1})}},
      .constraints = {{"C1", "axis must be within the rank"},
                      {"C2", "operand must be a number", "convert it with cast"},
                      {"C3", "axis must hold an element"}},
      .infer = infer,
      .gradient = {.not_differentiable = "its result is an index"},
      .reference = reference,
      .batch = batch,
      .cost =
          [](const Node& node) {
            Cost cost = streaming_cost(node, 0);
            cost.flops = static_cast<double>(node.input_type(0).numel());
            return cost;
          },
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value argmax(Value x, std::int64_t axis, SourceLocation loc) {
  return x.graph().add(argmax_op(), {x}, {{"axis", axis}}, {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
