// Ops whose operands are indices, and argmax, whose result is one; gather moves elements.
#include <fmt/core.h>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/move_writer.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot::cuda {
namespace {

std::int64_t axis_of(const Node& node, int rank) {
  const std::int64_t axis = node.integer("axis");
  return axis < 0 ? axis + rank : axis;
}

std::int64_t product(const Shape& shape, std::int64_t first, std::int64_t last) {
  std::int64_t n = 1;
  for (std::int64_t axis = first; axis < last; ++axis) n *= shape[static_cast<int>(axis)];
  return n;
}

/// Reads index number `position` into `row`, latches when it is out of [0, size) and `report`
/// holds, and clamps it.
void write_index(std::string& code, const Node& node, const Region& region, std::size_t operand,
                 const std::string& position, std::int64_t size, std::string_view rule,
                 const std::string& report) {
  code += fmt::format("i64 row = get({}, {});\n", operand_pointer(region, node, operand), position);
  code += fmt::format("if (row < 0 || row >= {}) {{ if ({}) {};\nrow = row < 0 ? 0 : {}; }}\n",
                      size, report, latch_text(region, node, rule, "row", position), size - 1);
}

std::string gather_grad_element(std::string& code, const Node& node, const Region& region,
                                const Place& place) {
  const Shape& dx = node.output_type().shape;
  const std::int64_t axis = node.integer("axis");
  const std::int64_t inner = product(dx, axis + 1, dx.rank());
  const std::int64_t size = dx[static_cast<int>(axis)];
  const std::int64_t count = node.input_type(1).numel();
  code += fmt::format("const i64 inner = {0} % {1}, own = {0} / {1} % {2}, outer = {0} / {3};\n",
                      place.flat, inner, size, inner * size);
  code += "float gathered = 0.0f;\n";
  code += fmt::format("for (i64 place = 0; place < {}; ++place) {{\n", count);
  write_index(code, node, region, 1, "place", size, "C6", fmt::format("{} == 0", place.flat));
  code +=
      fmt::format("if (row == own) gathered += get({}, (outer * {} + place) * {} + inner);\n}}\n",
                  operand_pointer(region, node, 0), count, inner);
  return "gathered";
}

std::string one_hot_element(std::string& code, const Node& node, const Region& region,
                            const Place& place) {
  const std::int64_t depth = node.integer("depth");
  code += fmt::format("const i64 place = {0} / {1}, class_ = {0} % {1};\n", place.flat, depth);
  write_index(code, node, region, 0, "place", depth, "C4", "class_ == 0");
  const DType dtype = node.output_type().dtype;
  code += fmt::format("const {} hot = row == class_ ? {} : {};\n", compute_type(dtype),
                      literal(1, dtype), literal(0, dtype));
  return "hot";
}

std::string argmax_element(std::string& code, const Node& node, const Region& region,
                           const Place& place) {
  const Shape& x = node.input_type(0).shape;
  const std::int64_t axis = axis_of(node, x.rank());
  const std::int64_t stride = product(x, axis + 1, x.rank());
  const std::int64_t size = x[static_cast<int>(axis)];
  const std::string pointer = operand_pointer(region, node, 0);
  code += fmt::format("const i64 start = {0} / {1} * {2} + {0} % {1};\n", place.flat, stride,
                      stride * size);
  code += fmt::format("i64 best = 0;\nauto top = get({}, start);\n", pointer);
  code += fmt::format(
      "for (i64 k = 1; k < {}; ++k) {{ auto v = get({}, start + k * {});\n"
      "if (v > top || (v != v && top == top)) {{ best = k; top = v; }} }}\n",
      size, pointer, stride);
  return "best";
}

}  // namespace

void register_index_kernels(KernelTable& table) {
  register_element_source(table, gather_grad_op().name, gather_grad_element);
  register_element_source(table, one_hot_op().name, one_hot_element);
  register_element_source(table, argmax_op().name, argmax_element);
}

}  // namespace ingot::cuda
