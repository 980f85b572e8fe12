#include <fmt/core.h>

#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

int axis_of(const Node& node) {
  const int rank = node.output_type().shape.rank();
  const auto axis = static_cast<int>(node.integer("axis"));
  return axis < 0 ? axis + rank : axis;
}

std::vector<TensorType> infer(const InferContext& ctx) {
  ctx.require(ctx.num_inputs() > 0, "C1", [] { return std::string("none"); });
  const TensorType& first = ctx.input(0);
  const int rank = first.shape.rank();
  const std::int64_t given = ctx.integer("axis");
  ctx.require(given >= -rank && given < rank, "C2",
              [&] { return fmt::format("axis {} of {}", given, ctx.input_types()); });
  const auto axis = static_cast<int>(given < 0 ? given + rank : given);
  TensorType result = first;
  result.shape[axis] = 0;
  for (const TensorType& type : ctx.inputs()) {
    ctx.require(type.dtype == first.dtype, "C3");
    ctx.require(type.shape.rank() == rank, "C4");
    for (int i = 0; i < rank; ++i) {
      ctx.require(i == axis || type.shape[i] == first.shape[i], "C4");
    }
    result.shape[axis] += type.shape[axis];
  }
  return {result};
}

void reference(const ReferenceContext& ctx) {
  const auto axis = static_cast<std::size_t>(axis_of(ctx.node));
  const auto strides = ctx.outputs[0].type.shape.strides();
  std::int64_t start = 0;
  for (const HostView& input : ctx.inputs) {
    const Shape& shape = input.type.shape;
    for_each_index(shape, [&](std::int64_t flat, const auto& index) {
      std::int64_t target = start * strides[axis];
      for (std::size_t i = 0; i < static_cast<std::size_t>(shape.rank()); ++i) {
        target += index[i] * strides[i];
      }
      copy_element(input, flat, ctx.outputs[0], target);
    });
    start += shape[static_cast<int>(axis)];
  }
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const int axis = axis_of(ctx.node);
  std::vector<Value> grads;
  std::int64_t start = 0;
  for (const Value& input : ctx.inputs) {
    std::vector<std::int64_t> starts(static_cast<std::size_t>(input.shape().rank()), 0);
    std::vector<std::int64_t> stops = input.shape().to_vector();
    starts[static_cast<std::size_t>(axis)] = start;
    start += input.shape()[axis];
    stops[static_cast<std::size_t>(axis)] = start;
    grads.push_back(ops::slice(ctx.grads[0], starts, stops, {}, {}));
  }
  return grads;
}

std::vector<BatchResult> batch(const Node& node, std::span<const int> axes) {
  for (const int axis : axes) {
    if (axis != axes[0]) return {{BatchKind::mixed, -1}};
  }
  if (axes[0] < 0) return {{BatchKind::none, -1}};
  const bool along = axes[0] == axis_of(node);
  return {{along ? BatchKind::mixed : BatchKind::kept, along ? -1 : axes[0]}};
}

std::vector<OpCase> cases() {
  const auto f32 = [](Shape shape) { return CaseInput{{DType::f32, shape}}; };
  const CaseInput integers{{DType::i32, {2, 2}}, -9, 9};
  return {{"channels", {f32({2, 3, 4}), f32({2, 1, 4}), f32({2, 5, 4})}, {{"axis", 1}}},
          {"last", {f32({2, 3}), f32({2, 2})}, {{"axis", -1}}},
          {"one", {f32({4})}, {{"axis", 0}}},
          {"with empty", {f32({2, 3}), f32({0, 3}), f32({1, 3})}, {{"axis", 0}}},
          {"integers", {integers, integers}, {{"axis", 0}}}};
}

std::vector<BadCase> bad_cases() {
  return {{"none", {}, {{"axis", 0}}, "C1", "concat \"op\": there must be an operand, got none"},
          {"axis",
           {{DType::f32, {2, 3}}},
           {{"axis", 2}},
           "C2",
           "concat \"op\": axis must be within the rank, got axis 2 of f32[2,3]"},
          {"dtypes",
           {{DType::f32, {2}}, {DType::f16, {2}}},
           {{"axis", 0}},
           "C3",
           "concat \"op\": operands must have one dtype, got f32[2], f16[2]"},
          {"shapes",
           {{DType::f32, {2, 3}}, {DType::f32, {3, 3}}},
           {{"axis", 1}},
           "C4",
           "concat \"op\": shapes must be equal but for the axis, got f32[2,3], f32[3,3]"},
          {"ranks",
           {{DType::f32, {2, 3}}, {DType::f32, {2}}},
           {{"axis", 1}},
           "C4",
           "concat \"op\": shapes must be equal but for the axis, got f32[2,3], f32[2]"}};
}

}  // namespace

const OpDef& concat_op() {
  static const OpDef def{
      .name = "concat",
      .summary = "operands one after another along an axis",
      .inputs = {{"x", "shapes equal but for `axis`", true}},
      .outputs = {{"y", "the sum of the sizes on `axis`"}},
      .attrs = {{"axis", AttrKind::integer, "negative ones count from the end"}},
      .constraints = {{"C1", "there must be an operand"},
                      {"C2", "axis must be within the rank"},
                      {"C3", "operands must have one dtype", "convert one with cast"},
                      {"C4", "shapes must be equal but for the axis"}},
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = batch,
      .cost = [](const Node& node) { return streaming_cost(node, 0); },
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value concat(std::vector<Value> values, std::int64_t axis, SourceLocation loc) {
  if (values.empty()) {
    throw user_error(ErrorCode::invalid_shape, "concat: there must be an operand, got none");
  }
  Graph& graph = values.front().graph();
  return graph.add(concat_op(), std::move(values), {{"axis", axis}}, {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
