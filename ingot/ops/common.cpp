#include "ingot/ops/common.h"

#include <algorithm>

#include "ingot/ir/body.h"

namespace ingot {

std::optional<Shape> broadcast_shapes(std::span<const TensorType> types) {
  int rank = 0;
  for (const TensorType& type : types) rank = std::max(rank, type.shape.rank());
  Shape result(std::vector<std::int64_t>(static_cast<std::size_t>(rank), 1));
  for (const TensorType& type : types) {
    const int offset = rank - type.shape.rank();
    for (int axis = 0; axis < type.shape.rank(); ++axis) {
      const std::int64_t dim = type.shape[axis];
      std::int64_t& out = result[axis + offset];
      if (dim != 1 && out != 1 && dim != out) return std::nullopt;
      if (dim != 1) out = dim;
    }
  }
  return result;
}

std::optional<std::vector<int>> normalize_axes(std::span<const std::int64_t> axes, int rank) {
  std::vector<int> result;
  for (const std::int64_t axis : axes) {
    if (axis < -rank || axis >= rank) return std::nullopt;
    result.push_back(static_cast<int>(axis < 0 ? axis + rank : axis));
  }
  std::sort(result.begin(), result.end());
  if (std::adjacent_find(result.begin(), result.end()) != result.end()) return std::nullopt;
  if (axes.empty()) {
    for (int axis = 0; axis < rank; ++axis) result.push_back(axis);
  }
  return result;
}

std::int64_t broadcast_index(const Shape& operand, const Shape& full,
                             const std::array<std::int64_t, Shape::kMaxRank>& index) {
  std::int64_t flat = 0;
  const int offset = full.rank() - operand.rank();
  for (int axis = 0; axis < operand.rank(); ++axis) {
    const std::int64_t i = operand[axis] == 1 ? 0 : index[static_cast<std::size_t>(axis + offset)];
    flat = flat * operand[axis] + i;
  }
  return flat;
}

void copy_element(const HostView& from, std::int64_t i, const HostView& to, std::int64_t j) {
  if (is_float(from.type.dtype)) {
    to.set(j, from.get(i));
  } else {
    to.set_int(j, from.get_int(i));
  }
}

void latch_error(const ReferenceContext& ctx, std::string_view constraint_id, std::int64_t value,
                 std::int64_t index) {
  if (ctx.error == nullptr || ctx.error->node >= 0) return;
  const OpDef& op = ctx.node.op();
  const auto rule = &op.constraint(constraint_id) - op.constraints.data();
  *ctx.error = {ctx.node.id(), static_cast<std::int32_t>(rule), value, index};
}

std::vector<BatchResult> elementwise_batch(const Node& node, std::span<const int> input_axes) {
  const int rank = node.output_type().shape.rank();
  BatchResult result{BatchKind::none, -1};
  for (std::size_t i = 0; i < input_axes.size(); ++i) {
    if (input_axes[i] < 0) continue;
    const int axis = input_axes[i] + rank - node.input_type(i).shape.rank();
    if (result.kind == BatchKind::kept && result.axis != axis) return {{BatchKind::mixed, -1}};
    result = {BatchKind::kept, axis};
  }
  if (result.kind == BatchKind::kept) {
    // An operand without the batch must not vary along the batch's axis.
    for (std::size_t i = 0; i < input_axes.size(); ++i) {
      const Shape& shape = node.input_type(i).shape;
      const int axis = result.axis - (rank - shape.rank());
      if (input_axes[i] < 0 && axis >= 0 && shape[axis] != 1) return {{BatchKind::mixed, -1}};
    }
  }
  return std::vector<BatchResult>(node.outputs().size(), result);
}

AttrList with_batch_dim(const Node& node, std::string_view shape_attr, int axis,
                        std::int64_t items) {
  AttrList attrs = attr_list(node);
  const auto at = static_cast<std::size_t>(node.op().attr_index(shape_attr));
  std::get<std::vector<std::int64_t>>(attrs[at].value)[static_cast<std::size_t>(axis)] = items;
  return attrs;
}

Cost streaming_cost(const Node& node, double flops_per_element) {
  double bytes = 0;
  for (const Value& input : node.inputs()) bytes += static_cast<double>(input.type().bytes());
  for (const Node::Output& output : node.outputs())
    bytes += static_cast<double>(output.type.bytes());
  return {flops_per_element * static_cast<double>(node.output_type().numel()), bytes};
}

AttrSpec math_attr() {
  return {"math", AttrKind::string,
          "how f32 products are taken: `f32`, or `tf32` with operands rounded to 11 bits where the "
          "backend has that",
          AttrValue(std::string("f32"))};
}

Constraint math_constraint() { return {"M1", "math must be f32 or tf32"}; }

void check_math(const InferContext& ctx) {
  const auto& math = ctx.attr<std::string>("math");
  ctx.require(math == "f32" || math == "tf32", "M1", [&] { return "\"" + math + "\""; });
}

BadCase math_bad_case(std::string_view op, std::vector<TensorType> inputs, AttrList attrs) {
  attrs.emplace_back("math", "f16");
  return {"unknown math", std::move(inputs), std::move(attrs), "M1",
          std::string(op) + " \"op\": math must be f32 or tf32, got \"f16\""};
}

DType accumulate_dtype(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

}  // namespace ingot
