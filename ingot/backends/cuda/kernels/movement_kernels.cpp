// Ops that move elements: each result element is one operand element or a fill value.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/move_chain.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot::cuda {
namespace {

using Coordinates = std::span<const std::string>;

std::string declare(std::string& code, DType dtype, const std::string& value) {
  code += fmt::format("const {} moved = {};\n", compute_type(dtype), value);
  return "moved";
}

std::string read(const Region& region, const Node& node, std::size_t operand,
                 const std::string& offset) {
  return fmt::format("get({}, {})", operand_pointer(region, node, operand), offset);
}

Moved move_transpose(const Node& node, Coordinates at) {
  const auto& perm = node.integers("perm");
  Moved moved;
  moved.coordinates.resize(perm.size());
  for (std::size_t axis = 0; axis < perm.size(); ++axis) {
    moved.coordinates[static_cast<std::size_t>(perm[axis])] = at[axis];
  }
  return moved;
}

Moved move_slice(const Node& node, Coordinates at) {
  const auto& starts = node.integers("starts");
  const auto& steps = node.integers("steps");
  Moved moved;
  for (std::size_t axis = 0; axis < starts.size(); ++axis) {
    const std::int64_t step = steps.empty() ? 1 : steps[axis];
    moved.coordinates.push_back(
        step == 1 && starts[axis] == 0
            ? at[axis]
            : fmt::format("((i64){} * {} + {})", at[axis], step, starts[axis]));
  }
  return moved;
}

Moved move_pad(const Node& node, Coordinates at) {
  const auto& low = node.integers("low");
  const auto& interior = node.integers("interior");
  const Shape& from = node.input_type(0).shape;
  Moved moved;
  moved.inside = from.numel() == 0 ? "false" : "true";
  for (std::size_t axis = 0; axis < low.size(); ++axis) {
    const std::int64_t step = (interior.empty() ? 0 : interior[axis]) + 1;
    const std::int64_t size = from[static_cast<int>(axis)];
    if (step == 1 && low[axis] == 0 && node.output_type().shape[static_cast<int>(axis)] == size) {
      moved.coordinates.push_back(at[axis]);
      continue;
    }
    const std::string shifted = fmt::format("((i64){} - {})", at[axis], low[axis]);
    moved.inside += fmt::format(" && {} >= 0", shifted);
    if (step > 1) moved.inside += fmt::format(" && {} % {} == 0", shifted, step);
    moved.coordinates.push_back(step == 1 ? shifted : fmt::format("({} / {})", shifted, step));
    moved.inside += fmt::format(" && {} < {}", moved.coordinates.back(), size);
  }
  const DType dtype = node.output_type().dtype;
  const DType fill = is_float(dtype) ? dtype : DType::f64;
  moved.fill = convert_text(literal(node.attr<double>("value"), fill), fill, dtype);
  return moved;
}

/// Axes that keep their elements' order: split and joined axes by themselves, the others as they
/// are.
Moved move_reshape(const Node& node, Coordinates at) {
  const Shape& to = node.output_type().shape;
  const Shape& from = node.input_type(0).shape;
  Moved moved;
  moved.coordinates.assign(static_cast<std::size_t>(from.rank()), "0");
  int begin_to = 0;
  int begin_from = 0;
  while (begin_from < from.rank()) {
    // The fewest axes on both sides with as many elements.
    int end_to = begin_to;
    int end_from = begin_from + 1;
    std::int64_t inner_to = 1;
    std::int64_t inner_from = from[begin_from];
    while (inner_to != inner_from) {
      if (inner_to < inner_from) {
        inner_to *= to[end_to++];
      } else {
        inner_from *= from[end_from++];
      }
    }
    std::string flat;
    std::int64_t below = inner_to;
    for (int axis = begin_to; axis < end_to; ++axis) {
      below /= to[axis];
      if (to[axis] == 1) continue;
      if (!flat.empty()) flat += " + ";
      flat += below == 1 ? at[static_cast<std::size_t>(axis)]
                         : fmt::format("{} * {}u", at[static_cast<std::size_t>(axis)], below);
    }
    below = inner_from;
    bool outermost = true;
    for (int axis = begin_from; axis < end_from; ++axis) {
      below /= from[axis];
      if (from[axis] == 1) continue;
      std::string text =
          below == 1 ? fmt::format("({})", flat) : fmt::format("(({}) / {}u)", flat, below);
      if (!outermost) text = fmt::format("({} % {}u)", text, from[axis]);
      moved.coordinates[static_cast<std::size_t>(axis)] = std::move(text);
      outermost = false;
    }
    begin_to = end_to;
    begin_from = end_from;
  }
  return moved;
}

/// The element of a plain operand.
std::string moved_element(std::string& code, const Node& node, const Region& region,
                          const Place& place) {
  const Moved moved = move_source(node.op())(node, place.coordinates);
  const std::string from =
      read(region, node, 0, offset_text(moved.coordinates, node.input_type(0).shape.strides()));
  if (moved.inside.empty()) return declare(code, node.output_type().dtype, from);
  code += fmt::format("{} moved = {};\nif ({}) moved = {};\n",
                      compute_type(node.output_type().dtype), moved.fill, moved.inside, from);
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

MoveSource move_source(const OpDef& op) {
  struct Entry {
    const OpDef* op;
    MoveSource source;
  };
  static const std::array<Entry, 4> kMoves{{{&transpose_op(), move_transpose},
                                            {&slice_op(), move_slice},
                                            {&pad_op(), move_pad},
                                            {&reshape_op(), move_reshape}}};
  const auto it = std::ranges::find(kMoves, &op, &Entry::op);
  return it == kMoves.end() ? nullptr : it->source;
}

void register_movement_kernels(KernelTable& table) {
  register_element_source(table, transpose_op().name, moved_element);
  register_element_source(table, slice_op().name, moved_element);
  register_element_source(table, pad_op().name, moved_element);
  register_element_source(table, concat_op().name, concat_element);
  register_element_source(table, reshape_op().name, reshape_element);
}

}  // namespace ingot::cuda
