// Ops that move elements: each result element is one operand element or a fill value.
#include <fmt/core.h>

#include "ingot/backends/cuda/map_kernel.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot::cuda {
namespace {

std::string declare(std::string& code, DType dtype, const std::string& value) {
  code += fmt::format("const {} moved = {};\n", compute_type(dtype), value);
  return "moved";
}

std::string read(const Region& region, const Node& node, std::size_t operand,
                 const std::string& offset) {
  return fmt::format("get({}, {})", operand_pointer(region, node, operand), offset);
}

std::string transpose_element(std::string& code, const Node& node, const Region& region,
                              const Place& place) {
  const auto& perm = node.integers("perm");
  const auto strides = node.input_type(0).shape.strides();
  std::vector<std::int64_t> moved;
  for (const std::int64_t axis : perm) moved.push_back(strides[static_cast<std::size_t>(axis)]);
  return declare(code, node.output_type().dtype,
                 read(region, node, 0, offset_text(place.coordinates, moved)));
}

std::string slice_element(std::string& code, const Node& node, const Region& region,
                          const Place& place) {
  const auto& starts = node.integers("starts");
  const auto& steps = node.integers("steps");
  auto strides = node.input_type(0).shape.strides();
  std::int64_t base = 0;
  std::vector<std::int64_t> moved;
  for (std::size_t axis = 0; axis < starts.size(); ++axis) {
    base += starts[axis] * strides[axis];
    moved.push_back(strides[axis] * (steps.empty() ? 1 : steps[axis]));
  }
  return declare(
      code, node.output_type().dtype,
      read(region, node, 0, fmt::format("{} + {}", offset_text(place.coordinates, moved), base)));
}

std::string pad_element(std::string& code, const Node& node, const Region& region,
                        const Place& place) {
  const auto& low = node.integers("low");
  const auto& interior = node.integers("interior");
  const Shape& from = node.input_type(0).shape;
  const auto strides = from.strides();
  const DType dtype = node.output_type().dtype;
  std::string inside = from.numel() == 0 ? "false" : "true";
  std::string offset = "0";
  for (std::size_t axis = 0; axis < low.size(); ++axis) {
    const std::int64_t step = (interior.empty() ? 0 : interior[axis]) + 1;
    const std::string shifted = fmt::format("((i64){} - {})", place.coordinates[axis], low[axis]);
    inside += fmt::format(" && {0} >= 0 && {0} % {1} == 0 && {0} / {1} < {2}", shifted, step,
                          from[static_cast<int>(axis)]);
    offset += fmt::format(" + {} / {} * {}", shifted, step, strides[axis]);
  }
  const DType fill = is_float(dtype) ? dtype : DType::f64;
  code += fmt::format("{} moved = {};\n", compute_type(dtype),
                      convert_text(literal(node.attr<double>("value"), fill), fill, dtype));
  code += fmt::format("if ({}) moved = {};\n", inside, read(region, node, 0, offset));
  return "moved";
}

std::string concat_element(std::string& code, const Node& node, const Region& region,
                           const Place& place) {
  const DType dtype = node.output_type().dtype;
  auto axis = static_cast<std::size_t>(node.integer("axis") < 0
                                           ? node.integer("axis") + node.output_type().shape.rank()
                                           : node.integer("axis"));
  code += fmt::format("{} moved = {};\n", compute_type(dtype), literal(0, dtype));
  std::int64_t start = 0;
  for (std::size_t k = 0; k < node.inputs().size(); ++k) {
    const Shape& from = node.input_type(k).shape;
    const std::int64_t stop = start + from[static_cast<int>(axis)];
    const auto strides = from.strides();
    if (from.numel() > 0) {
      code += fmt::format("if ((i64){0} >= {1} && (i64){0} < {2}) moved = {3};\n",
                          place.coordinates[axis], start, stop,
                          read(region, node, k,
                               fmt::format("{} - {}", offset_text(place.coordinates, strides),
                                           start * strides[axis])));
    }
    start = stop;
  }
  return "moved";
}

std::string reshape_element(std::string& code, const Node& node, const Region& region,
                            const Place& place) {
  return declare(code, node.output_type().dtype, read(region, node, 0, place.flat));
}

}  // namespace

void register_movement_kernels(KernelTable& table) {
  register_element_source(table, transpose_op().name, transpose_element);
  register_element_source(table, slice_op().name, slice_element);
  register_element_source(table, pad_op().name, pad_element);
  register_element_source(table, concat_op().name, concat_element);
  register_element_source(table, reshape_op().name, reshape_element);
}

}  // namespace ingot::cuda
