#include <fmt/core.h>

#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

std::int64_t interior_at(const std::vector<std::int64_t>& interior, int axis) {
  return interior.empty() ? 0 : interior[static_cast<std::size_t>(axis)];
}

/// Elements from the first to the last of x on an axis, the interior ones included.
std::int64_t extent(std::int64_t size, std::int64_t interior) {
  return size == 0 ? 0 : size + (size - 1) * interior;
}

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType& x = ctx.input(0);
  const auto& low = ctx.integers("low");
  const auto& high = ctx.integers("high");
  const auto& interior = ctx.integers("interior");
  const auto got = [&] {
    return fmt::format("low {}, high {}, interior {} of {}", to_string(AttrValue(low)),
                       to_string(AttrValue(high)), to_string(AttrValue(interior)), x.to_string());
  };
  const int rank = x.shape.rank();
  ctx.require(std::ssize(low) == rank && std::ssize(high) == rank &&
                  (interior.empty() || std::ssize(interior) == rank),
              "C1", got);
  Shape shape;
  for (int axis = 0; axis < rank; ++axis) {
    const std::int64_t before = low[static_cast<std::size_t>(axis)];
    const std::int64_t after = high[static_cast<std::size_t>(axis)];
    const std::int64_t between = interior_at(interior, axis);
    ctx.require(before >= 0 && after >= 0 && between >= 0, "C2", got);
    shape.push_back(before + extent(x.shape[axis], between) + after);
  }
  return {{x.dtype, shape}};
}

void reference(const ReferenceContext& ctx) {
  const auto& low = ctx.node.integers("low");
  const auto& interior = ctx.node.integers("interior");
  const HostView& y = ctx.outputs[0];
  for (std::int64_t i = 0; i < y.numel(); ++i) y.set(i, ctx.node.attr<double>("value"));
  const auto strides = y.type.shape.strides();
  const Shape& shape = ctx.inputs[0].type.shape;
  for_each_index(shape, [&](std::int64_t flat, const auto& index) {
    std::int64_t target = 0;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const auto a = static_cast<std::size_t>(axis);
      target += (low[a] + index[a] * (interior_at(interior, axis) + 1)) * strides[a];
    }
    copy_element(ctx.inputs[0], flat, y, target);
  });
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const Shape& from = ctx.inputs[0].shape();
  const auto& interior = ctx.node.integers("interior");
  const std::vector<std::int64_t> starts = ctx.node.integers("low");
  std::vector<std::int64_t> stops;
  std::vector<std::int64_t> steps;
  for (int axis = 0; axis < from.rank(); ++axis) {
    const std::int64_t between = interior_at(interior, axis);
    stops.push_back(starts[static_cast<std::size_t>(axis)] + extent(from[axis], between));
    steps.push_back(between + 1);
  }
  return {ops::slice(ctx.grads[0], starts, stops, steps, {})};
}

std::vector<BatchResult> batch(const Node& node, std::span<const int> axes) {
  if (axes[0] < 0) return {{BatchKind::none, -1}};
  const bool whole = node.output_type().shape[axes[0]] == node.input_type(0).shape[axes[0]];
  return {{whole ? BatchKind::kept : BatchKind::mixed, whole ? axes[0] : -1}};
}

std::vector<OpCase> cases() {
  const auto make = [](std::string name, TensorType x, std::vector<std::int64_t> low,
                       std::vector<std::int64_t> high, std::vector<std::int64_t> interior,
                       double value) {
    return OpCase{std::move(name),
                  {{x, -9, 9}},
                  {{"low", std::move(low)},
                   {"high", std::move(high)},
                   {"interior", std::move(interior)},
                   {"value", value}}};
  };
  return {make("image", {DType::f32, {2, 3, 4, 4}}, {0, 0, 1, 1}, {0, 0, 1, 2}, {}, 0),
          make("value", {DType::f32, {3, 2}}, {2, 0}, {0, 1}, {}, -1.5),
          make("interior", {DType::f32, {3, 4}}, {1, 0}, {2, 3}, {2, 1}, 0),
          make("integers", {DType::i32, {3}}, {1}, {1}, {}, 7),
          make("empty", {DType::f32, {0, 2}}, {1, 1}, {2, 0}, {3, 0}, 0.5),
          make("scalar", {DType::f32, {}}, {}, {}, {}, 0)};
}

std::vector<BadCase> bad_cases() {
  return {{"too many",
           {{DType::f32, {4}}},
           {{"low", {1, 1}}, {"high", {0}}},
           "C1",
           "pad \"op\": low, high and interior must have one entry an axis, "
           "got low [1,1], high [0], interior [] of f32[4]"},
          {"negative",
           {{DType::f32, {4}}},
           {{"low", {0}}, {"high", {-1}}},
           "C2",
           "pad \"op\": padding must not be negative, "
           "got low [0], high [-1], interior [] of f32[4]"}};
}

}  // namespace

const OpDef& pad_op() {
  static const OpDef def{
      .name = "pad",
      .summary = "puts a value before, after and between the elements of each axis",
      .inputs = {{"x", "any shape"}},
      .outputs = {{"y", "low + size + (size - 1) interior + high on each axis"}},
      .attrs = {{"low", AttrKind::integers, "elements before on each axis"},
                {"high", AttrKind::integers, "elements after on each axis"},
                {"interior", AttrKind::integers,
                 "elements between neighbours on each axis; empty: none",
                 AttrValue(std::vector<std::int64_t>{})},
                {"value", AttrKind::real, "what is put there", AttrValue(0.0)}},
      .constraints = {{"C1", "low, high and interior must have one entry an axis"},
                      {"C2", "padding must not be negative", "take elements away with slice"}},
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

Value pad(Value x, const Padding& padding, double value, SourceLocation loc) {
  return x.graph()
      .add(pad_op(), {x},
           {{"low", padding.low},
            {"high", padding.high},
            {"interior", padding.interior},
            {"value", value}},
           {}, loc)
      ->output();
}

}  // namespace ops
}  // namespace ingot
