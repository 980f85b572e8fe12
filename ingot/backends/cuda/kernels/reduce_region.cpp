#include "ingot/backends/cuda/kernels/reduce_region.h"

#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cuda/kernels/reduce_plan.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/reduction.h"

namespace ingot::cuda {

ReduceKind reduce_kind(const Node& node) {
  if (&node.op() == &sum_op()) return ReduceKind::sum;
  if (&node.op() == &mean_op()) return ReduceKind::mean;
  if (&node.op() == &reduce_max_op()) return ReduceKind::max;
  if (&node.op() == &moments_op()) return ReduceKind::moments;
  return ReduceKind::none;
}

ReduceAxes::ReduceAxes(const Node& reduction) {
  const Shape& shape = reduction.input_type(0).shape;
  const std::vector<int> gone = ingot::reduced_axes(reduction);
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const bool is_gone = std::ranges::binary_search(gone, axis);
    (is_gone ? reduced : kept).push_back(shape[axis]);
    (is_gone ? reduced_axes : kept_axes).push_back(axis);
  }
}

std::int64_t rows_of_output(const ReduceAxes& axes, const VectorWalk& walk) {
  if (axes.kept_axes == std::vector<int>{walk.axis}) return walk.rows;
  const bool by_item = axes.kept_axes == std::vector<int>{0, walk.axis} && walk.outer.size() > 1;
  return by_item && walk.outer.front() == 0 ? walk.rows / walk.shape[0] : 0;
}

ReduceRegion::ReduceRegion(const Node& node, std::span<const int> inputs,
                           std::span<const int> outputs)
    : outputs_(outputs.begin(), outputs.end()),
      region_(region_of(node, inputs)),
      loop_(region_.reductions.front()->input_type(0).shape),
      axes_(*region_.reductions.front()) {
  for (std::size_t i = 0; i < region_.results.size(); ++i) {
    const Value& result = region_.results[i];
    if (is_reduction(*result.node())) continue;
    (result.shape().numel() == loop_.numel() ? beside_ : apart_).push_back(static_cast<int>(i));
  }
}

bool ReduceRegion::sums_only() const {
  return std::ranges::all_of(region_.reductions, [](const Node* node) {
    return reduce_kind(*node) == ReduceKind::sum || reduce_kind(*node) == ReduceKind::mean;
  });
}

std::string ReduceRegion::components() const {
  std::string letters;
  for (const Node* reduction : region_.reductions) {
    const ReduceKind kind = reduce_kind(*reduction);
    letters += kind == ReduceKind::moments ? "ss" : kind == ReduceKind::max ? "m" : "s";
  }
  return letters;
}

double ReduceRegion::bytes() const {
  double bytes = 0;
  for (const auto& [value, slot] : region_.operands) bytes += bytes_of(value);
  return bytes;
}

Place ReduceRegion::place(std::string& code, const std::vector<std::string>& kept,
                          const std::vector<std::string>& reduced, const std::string& name,
                          const std::string& flat) const {
  std::vector<std::string> all(static_cast<std::size_t>(loop_.rank()));
  for (std::size_t i = 0; i < kept.size(); ++i) {
    all[static_cast<std::size_t>(axes_.kept_axes[i])] = kept[i];
  }
  for (std::size_t i = 0; i < reduced.size(); ++i) {
    all[static_cast<std::size_t>(axes_.reduced_axes[i])] = reduced[i];
  }
  const Layout layout = layout_of(region_, loop_);
  const auto strides = broadcast_strides(loop_, loop_, layout);
  const bool merges =
      !flat.empty() && layout.is_plain() && axes_.reduced.numel() < (std::int64_t{1} << 31);
  code += fmt::format("const i64 {} = {};\n", name,
                      merges ? merged_offset(all, strides, flat) : offset_text(all, strides));
  return {loop_, std::move(all), name, layout};
}

/// offset_text() where neighbours among the reduced axes of a plain layout are one axis.
std::string ReduceRegion::merged_offset(const std::vector<std::string>& all,
                                        const std::vector<std::int64_t>& strides,
                                        const std::string& flat) const {
  if (axes_.reduced_axes.empty()) return offset_text(all, strides);
  std::vector<std::string> names;
  std::vector<std::int64_t> steps;
  for (const int axis : axes_.kept_axes) {
    names.push_back(all[static_cast<std::size_t>(axis)]);
    steps.push_back(strides[static_cast<std::size_t>(axis)]);
  }
  const auto step_of = [&](int last) {
    std::int64_t step = 1;
    for (int axis = last + 1; axis < loop_.rank(); ++axis) step *= loop_[axis];
    return step;
  };
  // The number does not tell the first axis where that is told apart.
  const bool apart = all[static_cast<std::size_t>(axes_.reduced_axes.front())] == kSplitPlace;
  const std::size_t lowest = apart ? 1 : 0;
  std::int64_t below = 1;
  for (std::size_t end = axes_.reduced_axes.size(); end > lowest;) {
    std::size_t begin = end - 1;
    while (begin > lowest && axes_.reduced_axes[begin] == axes_.reduced_axes[begin - 1] + 1)
      --begin;
    std::int64_t size = 1;
    for (std::size_t i = begin; i < end; ++i) size *= axes_.reduced[static_cast<int>(i)];
    std::string name =
        below == 1 ? fmt::format("(u32){}", flat) : fmt::format("((u32){} / {}u)", flat, below);
    if (begin > lowest) name = fmt::format("({} % {}u)", name, size);
    names.push_back(std::move(name));
    steps.push_back(step_of(axes_.reduced_axes[end - 1]));
    below *= size;
    end = begin;
  }
  if (apart) {
    names.emplace_back(kSplitPlace);
    steps.push_back(step_of(axes_.reduced_axes.front()));
  }
  return offset_text(names, steps);
}

std::string ReduceRegion::write_shift(std::string& code, const Node& reduction,
                                      const std::vector<std::string>& kept,
                                      const std::string& name) const {
  const std::vector<std::string> zeros(axes_.reduced_axes.size(), "0u");
  code += fmt::format("float {};\n{{\n", name);
  ElementWriter writer(code, region_, place(code, kept, zeros, "first"));
  code += fmt::format("{} = {};\n}}\n", name, writer.value(reduction.input(0)));
  return name;
}

void ReduceRegion::store(std::string& code, const std::string& out,
                         const std::vector<std::string>& kept,
                         const std::vector<std::string>& totals,
                         const std::vector<std::string>& shifts, bool early) const {
  std::size_t component = 0;
  const std::string scale = literal(1.0 / static_cast<double>(axes_.reduced.numel()), DType::f32);
  for (std::size_t n = 0; n < region_.reductions.size(); ++n) {
    const Node& reduction = *region_.reductions[n];
    const ReduceKind kind = reduce_kind(reduction);
    if (kind == ReduceKind::moments) {
      const std::string shift = shifts.empty()
                                    ? write_shift(code, reduction, kept, fmt::format("shift{}", n))
                                    : shifts[n];
      code += fmt::format("const float m{} = {} * {};\n", n, totals[component], scale);
      put(code, reduction, 0, out, fmt::format("{} + m{}", shift, n));
      put(code, reduction, 1, out,
          fmt::format("fmaxf({} * {} - m{}*m{}, 0.0f)", totals[component + 1], scale, n, n));
      component += 2;
      continue;
    }
    put(code, reduction, 0, out,
        kind == ReduceKind::mean ? fmt::format("{} * {}", totals[component], scale)
                                 : totals[component],
        early);
    ++component;
  }
}

/// Stores an output of a reduction wherever the launch has it as a result.
void ReduceRegion::put(std::string& code, const Node& reduction, int index, const std::string& out,
                       const std::string& value, bool early) const {
  for (std::size_t r = 0; r < region_.results.size(); ++r) {
    const Value& result = region_.results[r];
    if (result.node() != &reduction || result.index() != index) continue;
    code += store_text(outputs_[r], result.dtype(), out, value, early);
  }
}

Support supports_reductions(const Region& region) {
  if (region.reductions.empty()) return Support::no("it does not reduce");
  if (region.producer != nullptr) return Support::no("its producer runs apart");
  for (const Node* reduction : region.reductions) {
    if (reduce_kind(*reduction) == ReduceKind::none) {
      return Support::no(fmt::format("{} is not a sum, maximum or moment", reduction->op().name));
    }
    const DType dtype = reduction->input_type(0).dtype;
    if (!is_float(dtype) && dtype != DType::i32 && dtype != DType::u8 && dtype != DType::i8) {
      return Support::no(fmt::format("it reduces {}", dtype_name(dtype)));
    }
  }
  return Support::yes();
}

}  // namespace ingot::cuda
