#include <fmt/core.h>

#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

std::int64_t step_at(const std::vector<std::int64_t>& steps, int axis) {
  return steps.empty() ? 1 : steps[static_cast<std::size_t>(axis)];
}

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType& x = ctx.input(0);
  const auto& starts = ctx.integers("starts");
  const auto& stops = ctx.integers("stops");
  const auto& steps = ctx.integers("steps");
  const auto got = [&] {
    return fmt::format("starts {}, stops {}, steps {} of {}", to_string(AttrValue(starts)),
                       to_string(AttrValue(stops)), to_string(AttrValue(steps)), x.to_string());
  };
  const int rank = x.shape.rank();
  ctx.require(std::ssize(starts) == rank && std::ssize(stops) == rank &&
                  (steps.empty() || std::ssize(steps) == rank),
              "C1", got);
  Shape shape;
  for (int axis = 0; axis < rank; ++axis) {
    const std::int64_t start = starts[static_cast<std::size_t>(axis)];
    const std::int64_t stop = stops[static_cast<std::size_t>(axis)];
    const std::int64_t step = step_at(steps, axis);
    ctx.require(0 <= start && start <= stop && stop <= x.shape[axis], "C2", got);
    ctx.require(step > 0, "C3", got);
    shape.push_back((stop - start + step - 1) / step);
  }
  return {{x.dtype, shape}};
}

void reference(const ReferenceContext& ctx) {
  const auto& starts = ctx.node.integers("starts");
  const auto& steps = ctx.node.integers("steps");
  const auto strides = ctx.inputs[0].type.shape.strides();
  const Shape& shape = ctx.outputs[0].type.shape;
  for_each_index(shape, [&](std::int64_t flat, const auto& index) {
    std::int64_t source = 0;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const auto a = static_cast<std::size_t>(axis);
      source += (starts[a] + index[a] * step_at(steps, axis)) * strides[a];
    }
    copy_element(ctx.inputs[0], source, ctx.outputs[0], flat);
  });
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const Shape& from = ctx.inputs[0].shape();
  const Shape& to = ctx.outputs[0].shape();
  const auto& starts = ctx.node.integers("starts");
  const auto& steps = ctx.node.integers("steps");
  ops::Padding padding;
  for (int axis = 0; axis < from.rank(); ++axis) {
    const std::int64_t step = step_at(steps, axis);
    const std::int64_t extent = to[axis] == 0 ? 0 : (to[axis] - 1) * step + 1;
    const std::int64_t low = starts[static_cast<std::size_t>(axis)];
    padding.low.push_back(low);
    padding.high.push_back(from[axis] - low - extent);
    padding.interior.push_back(step - 1);
  }
  return {ops::pad(ctx.grads[0], padding, 0.0, {})};
}

std::vector<BatchResult> batch(const Node& node, std::span<const int> axes) {
  if (axes[0] < 0) return {{BatchKind::none, -1}};
  const bool whole = step_at(node.integers("steps"), axes[0]) == 1 &&
                     node.output_type().shape[axes[0]] == node.input_type(0).shape[axes[0]];
  return {{whole ? BatchKind::kept : BatchKind::mixed, whole ? axes[0] : -1}};
}

AttrList rebatch(const Node& node, std::span<const int> axes, std::int64_t items) {
  return with_batch_dim(node, "stops", axes[0], items);
}

std::vector<OpCase> cases() {
  const auto make = [](std::string name, TensorType x, std::vector<std::int64_t> starts,
                       std::vector<std::int64_t> stops, std::vector<std::int64_t> steps) {
    return OpCase{
        std::move(name),
        {{x, -9, 9}},
        {{"starts", std::move(starts)}, {"stops", std::move(stops)}, {"steps", std::move(steps)}}};
  };
  return {make("rows", {DType::f32, {5, 3}}, {1, 0}, {4, 3}, {}),
          make("crop", {DType::f32, {2, 3, 6, 6}}, {0, 0, 1, 2}, {2, 3, 5, 6}, {}),
          make("steps", {DType::f32, {9, 8}}, {1, 0}, {9, 8}, {3, 2}),
          make("last of a step", {DType::f32, {7}}, {0}, {7}, {3}),
          make("integers", {DType::i32, {4, 4}}, {0, 1}, {4, 2}, {}),
          make("nothing", {DType::f32, {4, 3}}, {2, 0}, {2, 3}, {2, 1}),
          make("scalar", {DType::f32, {}}, {}, {}, {})};
}

std::vector<BadCase> bad_cases() {
  return {{"too few starts",
           {{DType::f32, {4, 3}}},
           {{"starts", {1}}, {"stops", {4, 3}}},
           "C1",
           "slice \"op\": starts, stops and steps must have one entry an axis, "
           "got starts [1], stops [4,3], steps [] of f32[4,3]"},
          {"beyond the end",
           {{DType::f32, {4, 3}}},
           {{"starts", {1, 0}}, {"stops", {5, 3}}},
           "C2",
           "slice \"op\": each axis must have 0 <= start <= stop <= size, "
           "got starts [1,0], stops [5,3], steps [] of f32[4,3]"},
          {"no step",
           {{DType::f32, {4}}},
           {{"starts", {0}}, {"stops", {4}}, {"steps", {0}}},
           "C3",
           "slice \"op\": steps must be positive, "
           "got starts [0], stops [4], steps [0] of f32[4]"}};
}

}  // namespace

const OpDef& slice_op() {
  static const OpDef def{
      .name = "slice",
      .summary = "every steps[i]-th element of starts[i] ... stops[i]-1 on each axis",
      .inputs = {{"x", "any shape"}},
      .outputs = {{"y", "ceil((stop - start) / step) on each axis"}},
      .attrs = {{"starts", AttrKind::integers, "first element on each axis"},
                {"stops", AttrKind::integers, "one past the last element on each axis"},
                {"steps", AttrKind::integers, "distance of elements on each axis; empty: 1",
                 AttrValue(std::vector<std::int64_t>{})}},
      .constraints = {{"C1", "starts, stops and steps must have one entry an axis"},
                      {"C2", "each axis must have 0 <= start <= stop <= size"},
                      {"C3", "steps must be positive"}},
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = batch,
      .rebatch = rebatch,
      .cost =
          [](const Node& node) {
            return Cost{0, 2.0 * static_cast<double>(node.output_type().bytes())};
          },
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value slice(Value x, std::vector<std::int64_t> starts, std::vector<std::int64_t> stops,
            std::vector<std::int64_t> steps, SourceLocation loc) {
  return x.graph()
      .add(
          slice_op(), {x},
          {{"starts", std::move(starts)}, {"stops", std::move(stops)}, {"steps", std::move(steps)}},
          {}, loc)
      ->output();
}

}  // namespace ops
}  // namespace ingot
