// Ops that move elements: each result element is one operand element or a fill value. Where it
// comes from may be an operand's word.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/move_chain.h"
#include "ingot/backends/cuda/kernels/move_writer.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot::cuda {
namespace {

constexpr int kImageAxes = 2;  // those before height and width

int gathered_axis(const Node& node) {
  const auto axis = static_cast<int>(node.integer("axis"));
  return axis < 0 ? axis + node.input_type(0).shape.rank() : axis;
}

std::string declare(std::string& code, DType dtype, const std::string& value) {
  code += fmt::format("const {} moved = {};\n", compute_type(dtype), value);
  return "moved";
}

std::string read(const Region& region, const Node& node, std::size_t operand,
                 const std::string& offset) {
  return fmt::format("get({}, {})", operand_pointer(region, node, operand), offset);
}

Moved move_transpose(const Node& node, Coordinates at, PlaceReader&) {
  const auto& perm = node.integers("perm");
  Moved moved;
  moved.coordinates.resize(perm.size());
  for (std::size_t axis = 0; axis < perm.size(); ++axis) {
    moved.coordinates[static_cast<std::size_t>(perm[axis])] = at[axis];
  }
  return moved;
}

Moved move_slice(const Node& node, Coordinates at, PlaceReader&) {
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

Moved move_pad(const Node& node, Coordinates at, PlaceReader&) {
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
Moved move_reshape(const Node& node, Coordinates at, PlaceReader&) {
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

Moved move_gather(const Node& node, Coordinates at, PlaceReader& places) {
  const Shape& x = node.input_type(0).shape;
  const auto axis = static_cast<std::size_t>(gathered_axis(node));
  const auto rank = static_cast<std::size_t>(node.input_type(1).shape.rank());
  const std::string row =
      places.checked_index(node, 1, at.subspan(axis, rank), x[static_cast<int>(axis)], "C5");
  Moved moved{.coordinates = {at.begin(), at.end()}, .untouched = static_cast<int>(axis)};
  const auto first = moved.coordinates.begin() + static_cast<std::ptrdiff_t>(axis);
  const auto next = moved.coordinates.erase(first, first + static_cast<std::ptrdiff_t>(rank));
  moved.coordinates.insert(next, row);
  return moved;
}

Moved move_crop_flip(const Node& node, Coordinates at, PlaceReader& places) {
  const Shape& x = node.input_type(0).shape;
  const auto amount = [&](const char* which) {
    const std::array<std::string, 2> there{at[0], which};
    return places.index(node, 1, there);
  };
  const std::string down = amount("0");
  const std::string right = amount("1");
  const std::string mirror = amount("2");
  const std::string h = fmt::format("((i64){} + {})", at[2], down);
  const std::string w =
      fmt::format("(({0} != 0 ? {1} - (i64){2} : (i64){2}) + {3})", mirror, x[3] - 1, at[3], right);
  const DType dtype = node.output_type().dtype;
  return {.coordinates = {at[0], at[1], h, w},
          .inside = fmt::format("{0} >= 0 && {0} < {1} && {2} >= 0 && {2} < {3}", h, x[2], w, x[3]),
          .fill = literal(0, dtype),
          .untouched = kImageAxes};
}

int keeps_all(const Node& node) { return node.input_type(0).shape.rank(); }
int keeps_none(const Node&) { return 0; }
int keeps_padded(const Node& node) {
  const auto negative = [](std::int64_t n) { return n < 0; };
  const bool drops = std::ranges::any_of(node.integers("low"), negative) ||
                     std::ranges::any_of(node.integers("high"), negative);
  return drops ? 0 : keeps_all(node);
}

std::string moved_element(std::string& code, const Node& node, const Region& region,
                          const Place& place) {
  code += fmt::format("{} moved;\n", compute_type(node.output_type().dtype));
  code += write_moved(region, const_cast<Node&>(node).output(), place, "moved");
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

const Mover* mover_of(const OpDef& op) {
  static const std::array<Mover, 6> kMovers{
      {{.op = &transpose_op(), .source = move_transpose, .kept = keeps_all},
       {.op = &slice_op(), .source = move_slice, .kept = keeps_none},
       {.op = &pad_op(), .source = move_pad, .kept = keeps_padded},
       {.op = &reshape_op(), .source = move_reshape, .kept = keeps_all},
       {.op = &gather_op(),
        .source = move_gather,
        .kept = gathered_axis,
        .placed =
            [](const Node& node) { return gathered_axis(node) + node.input_type(1).shape.rank(); },
        .checked = true},
       {.op = &crop_flip_op(),
        .source = move_crop_flip,
        .kept = [](const Node&) { return kImageAxes; },
        .placed = [](const Node&) { return 1; }}}};
  const auto it = std::ranges::find(kMovers, &op, &Mover::op);
  return it == kMovers.end() ? nullptr : &*it;
}

void register_movement_kernels(KernelTable& table) {
  register_element_source(table, transpose_op().name, moved_element);
  register_element_source(table, slice_op().name, moved_element);
  register_element_source(table, pad_op().name, moved_element);
  register_element_source(table, gather_op().name, moved_element);
  register_element_source(table, crop_flip_op().name, moved_element);
  register_element_source(table, concat_op().name, concat_element);
  register_element_source(table, reshape_op().name, reshape_element);
}

}  // namespace ingot::cuda
