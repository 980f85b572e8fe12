// Rows of an axis by index (an embedding's lookup), and the accumulation that is its gradient.
#include <fmt/core.h>

#include <algorithm>

#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

constexpr std::string_view kIndexRule = "indices must be at least 0 and below the axis's size";

bool is_index(const TensorType& type) {
  return type.dtype == DType::i32 || type.dtype == DType::i64;
}

/// The axis of a gather as it lies in x.
int axis_of(const Node& node) {
  const auto axis = static_cast<int>(node.integer("axis"));
  return axis < 0 ? axis + node.input_type(0).shape.rank() : axis;
}

/// x seen as [outer, size, inner] and its gathered form as [outer, count, inner].
struct Walk {
  std::int64_t outer = 1;
  std::int64_t size = 1;
  std::int64_t count = 1;
  std::int64_t inner = 1;
};

Walk walk_of(const Shape& x, const Shape& indices, int axis) {
  Walk walk;
  for (int i = 0; i < axis; ++i) walk.outer *= x[i];
  for (int i = axis + 1; i < x.rank(); ++i) walk.inner *= x[i];
  walk.size = x[axis];
  walk.count = indices.numel();
  return walk;
}

/// Calls fn(flat index into x, flat index into the gathered form), in the gathered form's order.
template <typename Fn>
void for_each_gathered(const ReferenceContext& ctx, const Walk& walk, std::string_view rule,
                       Fn&& fn) {
  const HostView& indices = ctx.inputs[1];
  for (std::int64_t i = 0; i < walk.count; ++i) {
    const std::int64_t index = indices.get_int(i);
    if (index < 0 || index >= walk.size) latch_error(ctx, rule, index, i);
  }
  for (std::int64_t outer = 0; outer < walk.outer; ++outer) {
    for (std::int64_t i = 0; i < walk.count; ++i) {
      const std::int64_t row = std::clamp<std::int64_t>(indices.get_int(i), 0, walk.size - 1);
      for (std::int64_t inner = 0; inner < walk.inner; ++inner) {
        fn((outer * walk.size + row) * walk.inner + inner,
           (outer * walk.count + i) * walk.inner + inner);
      }
    }
  }
}

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType& x = ctx.input(0);
  const TensorType& indices = ctx.input(1);
  const int rank = x.shape.rank();
  const std::int64_t given = ctx.integer("axis");
  ctx.require(given >= -rank && given < rank, "C1",
              [&] { return fmt::format("axis {} of {}", given, x.to_string()); });
  const auto axis = static_cast<int>(given < 0 ? given + rank : given);
  ctx.require(is_index(indices), "C2");
  ctx.require(rank - 1 + indices.shape.rank() <= Shape::kMaxRank, "C3");
  ctx.require(x.shape[axis] > 0 || indices.numel() == 0, "C4");
  Shape shape;
  for (int i = 0; i < axis; ++i) shape.push_back(x.shape[i]);
  for (const std::int64_t dim : indices.shape) shape.push_back(dim);
  for (int i = axis + 1; i < rank; ++i) shape.push_back(x.shape[i]);
  return {{x.dtype, shape}};
}

void reference(const ReferenceContext& ctx) {
  const Walk walk = walk_of(ctx.inputs[0].type.shape, ctx.inputs[1].type.shape, axis_of(ctx.node));
  for_each_gathered(ctx, walk, "C5", [&](std::int64_t in, std::int64_t out) {
    copy_element(ctx.inputs[0], in, ctx.outputs[0], out);
  });
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const int axis = axis_of(ctx.node);
  const Value x = ctx.inputs[0];
  if (!is_float(x.dtype())) return {Value{}, Value{}};
  return {ops::gather_grad(ctx.grads[0], ctx.inputs[1], x.shape()[axis], axis, {}), Value{}};
}

std::vector<BatchResult> batch(const Node& node, std::span<const int> axes) {
  const int axis = axis_of(node);
  const int x = axes[0];
  const int indices = axes[1];
  if (x < 0 && indices < 0) return {{BatchKind::none, -1}};
  if (x < 0) return {{BatchKind::kept, axis + indices}};
  if (indices >= 0 || x == axis) return {{BatchKind::mixed, -1}};
  return {{BatchKind::kept, x < axis ? x : x + node.input_type(1).shape.rank() - 1}};
}

std::vector<OpCase> cases() {
  const auto make = [](std::string name, Shape x, TensorType indices, int axis, double high) {
    return OpCase{std::move(name), {{{DType::f32, x}}, {indices, 0, high}}, {{"axis", axis}}};
  };
  return {make("embedding", {7, 4}, {DType::i32, {2, 5}}, 0, 6),
          make("middle", {2, 5, 3}, {DType::i64, {4}}, 1, 4),
          make("last", {3, 6}, {DType::i32, {2, 2}}, -1, 5),
          make("scalar index", {4, 3}, {DType::i32, {}}, 0, 3),
          make("no indices", {4, 3}, {DType::i32, {0}}, 0, 3),
          {"integers", {{{DType::i64, {5}}, -9, 9}, {{DType::i32, {3}}, 0, 4}}, {{"axis", 0}}}};
}

std::vector<BadCase> bad_cases() {
  return {{"axis",
           {{DType::f32, {4}}, {DType::i32, {2}}},
           {{"axis", 1}},
           "C1",
           "gather \"op\": axis must be within the rank, got axis 1 of f32[4]"},
          {"float indices",
           {{DType::f32, {4}}, {DType::f32, {2}}},
           {{"axis", 0}},
           "C2",
           "gather \"op\": indices must be i32 or i64, got f32[4], f32[2]"},
          {"rank",
           {{DType::f32, {1, 1, 1, 1, 1}}, {DType::i32, {1, 1, 1, 1, 1}}},
           {{"axis", 0}},
           "C3",
           "gather \"op\": result must have at most rank 8, got f32[1,1,1,1,1], i32[1,1,1,1,1]"},
          {"nothing to take",
           {{DType::f32, {0, 3}}, {DType::i32, {2}}},
           {{"axis", 0}},
           "C4",
           "gather \"op\": axis must hold an element, got f32[0,3], i32[2]"}};
}

std::vector<TensorType> grad_infer(const InferContext& ctx) {
  const TensorType& g = ctx.input(0);
  const TensorType& indices = ctx.input(1);
  const std::int64_t axis = ctx.integer("axis");
  const std::int64_t size = ctx.integer("size");
  ctx.require(is_float(g.dtype), "C1");
  ctx.require(is_index(indices), "C2");
  const auto got = [&] {
    return fmt::format("axis {}, size {} for {}", axis, size, ctx.input_types());
  };
  ctx.require(axis >= 0 && axis + indices.shape.rank() <= g.shape.rank(), "C3", got);
  for (int i = 0; i < indices.shape.rank(); ++i) {
    ctx.require(g.shape[static_cast<int>(axis) + i] == indices.shape[i], "C3", got);
  }
  ctx.require(size > 0 || (size == 0 && indices.numel() == 0), "C4", got);
  // A scalar index at rank 8 would make rank 9.
  ctx.require(g.shape.rank() - indices.shape.rank() < Shape::kMaxRank, "C5", got);
  Shape shape;
  for (int i = 0; i < axis; ++i) shape.push_back(g.shape[i]);
  shape.push_back(size);
  for (int i = static_cast<int>(axis) + indices.shape.rank(); i < g.shape.rank(); ++i) {
    shape.push_back(g.shape[i]);
  }
  return {{g.dtype, shape}};
}

void grad_reference(const ReferenceContext& ctx) {
  const HostView& dx = ctx.outputs[0];
  const Walk walk =
      walk_of(dx.type.shape, ctx.inputs[1].type.shape, static_cast<int>(ctx.node.integer("axis")));
  std::vector<double> totals(static_cast<std::size_t>(dx.numel()), 0.0);
  for_each_gathered(ctx, walk, "C6", [&](std::int64_t in, std::int64_t out) {
    totals[static_cast<std::size_t>(in)] += ctx.inputs[0].get(out);
  });
  for (std::int64_t i = 0; i < dx.numel(); ++i) dx.set(i, totals[static_cast<std::size_t>(i)]);
}

std::vector<BatchResult> grad_batch(const Node& node, std::span<const int> axes) {
  const auto axis = static_cast<int>(node.integer("axis"));
  const int rank = node.input_type(1).shape.rank();
  const int g = axes[0];
  const int indices = axes[1];
  if (g < 0 && indices < 0) return {{BatchKind::none, -1}};
  if (g >= axis && g < axis + rank) {
    return {{g == axis + indices ? BatchKind::reduced : BatchKind::mixed, -1}};
  }
  if (g < 0 || indices >= 0) return {{BatchKind::mixed, -1}};
  return {{BatchKind::kept, g < axis ? g : g - rank + 1}};
}

std::vector<OpCase> grad_cases() {
  const auto make = [](std::string name, Shape g, TensorType indices, int axis, int size) {
    return OpCase{std::move(name),
                  {{{DType::f32, g}}, {indices, 0, static_cast<double>(size - 1)}},
                  {{"axis", axis}, {"size", size}}};
  };
  return {make("embedding", {2, 5, 4}, {DType::i32, {2, 5}}, 0, 3),
          make("middle", {2, 4, 3}, {DType::i64, {4}}, 1, 5),
          make("scalar index", {3}, {DType::i32, {}}, 0, 4),
          make("no indices", {0, 3}, {DType::i32, {0}}, 0, 4)};
}

std::vector<BadCase> grad_bad_cases() {
  return {{"integers",
           {{DType::i32, {2}}, {DType::i32, {2}}},
           {{"axis", 0}, {"size", 3}},
           "C1",
           "gather_grad \"op\": g must be floating point, got i32[2], i32[2]"},
          {"float indices",
           {{DType::f32, {2}}, {DType::f32, {2}}},
           {{"axis", 0}, {"size", 3}},
           "C2",
           "gather_grad \"op\": indices must be i32 or i64, got f32[2], f32[2]"},
          {"shapes",
           {{DType::f32, {2, 4}}, {DType::i32, {3}}},
           {{"axis", 0}, {"size", 3}},
           "C3",
           "gather_grad \"op\": g must have the indices' shape from the axis on, "
           "got axis 0, size 3 for f32[2,4], i32[3]"},
          {"no size",
           {{DType::f32, {2}}, {DType::i32, {2}}},
           {{"axis", 0}, {"size", 0}},
           "C4",
           "gather_grad \"op\": axis must hold an element, got axis 0, size 0 for f32[2], i32[2]"},
          {"rank",
           {{DType::f32, {1, 1, 1, 1, 1, 1, 1, 1}}, {DType::i32, {}}},
           {{"axis", 0}, {"size", 2}},
           "C5",
           "gather_grad \"op\": result must have at most rank 8, "
           "got axis 0, size 2 for f32[1,1,1,1,1,1,1,1], i32[]"}};
}

}  // namespace

const OpDef& gather_op() {
  static const OpDef def{
      .name = "gather",
      .summary = "the slices of x along an axis that the indices name",
      .formula = "y[o..., i..., r...] = x[o..., indices[i...], r...]",
      .inputs = {{"x", "rank 1 or more"}, {"indices", "i32 or i64, 0 ... size of the axis - 1"}},
      .outputs = {{"y", "x's shape with the axis replaced by the indices' shape"}},
      .attrs = {{"axis", AttrKind::integer, "negative ones count from the end",
                 AttrValue(std::int64_t{0})}},
      .constraints = {{"C1", "axis must be within the rank"},
                      {"C2", "indices must be i32 or i64", "convert them with cast"},
                      {"C3", "result must have at most rank 8"},
                      {"C4", "axis must hold an element"},
                      {"C5", kIndexRule}},
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = batch,
      .cost =
          [](const Node& node) {
            return Cost{0, 2.0 * static_cast<double>(node.output_type().bytes()) +
                               static_cast<double>(node.input_type(1).bytes())};
          },
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

const OpDef& gather_grad_op() {
  static const OpDef def{
      .name = "gather_grad",
      .summary = "sums slices into the places that the indices name, in the indices' order",
      .formula = "dx[o..., k, r...] = sum over i with indices[i...] = k of g[o..., i..., r...]",
      .inputs = {{"g", "gather's result's shape"}, {"indices", "i32 or i64, 0 ... size-1"}},
      .outputs = {{"dx", "g's shape with the indices' axes replaced by `size`"}},
      .attrs = {{"axis", AttrKind::integer, "the axis of dx, not negative"},
                {"size", AttrKind::integer, "dx's size on it"}},
      .constraints = {{"C1", "g must be floating point"},
                      {"C2", "indices must be i32 or i64", "convert them with cast"},
                      {"C3", "g must have the indices' shape from the axis on"},
                      {"C4", "axis must hold an element"},
                      {"C5", "result must have at most rank 8"},
                      {"C6", kIndexRule}},
      .infer = grad_infer,
      .gradient = {[](const GradientContext& ctx) {
        const std::int64_t axis = ctx.node.integer("axis");
        return std::vector{ops::gather(ctx.grads[0], ctx.inputs[1], axis, {}), Value{}};
      }},
      .reference = grad_reference,
      .batch = grad_batch,
      .cost =
          [](const Node& node) {
            Cost cost = streaming_cost(node, 0);
            cost.flops = static_cast<double>(node.input_type(0).numel());
            return cost;
          },
      .reduction_length = [](const Node& node) { return node.input_type(1).numel(); },
      .cases = grad_cases,
      .bad_cases = grad_bad_cases};
  return def;
}

namespace ops {

Value gather(Value x, Value indices, std::int64_t axis, SourceLocation loc) {
  return x.graph().add(gather_op(), {x, indices}, {{"axis", axis}}, {}, loc)->output();
}

Value gather_grad(Value g, Value indices, std::int64_t size, std::int64_t axis,
                  SourceLocation loc) {
  return g.graph()
      .add(gather_grad_op(), {g, indices}, {{"axis", axis}, {"size", size}}, {}, loc)
      ->output();
}

}  // namespace ops
}  // namespace ingot
