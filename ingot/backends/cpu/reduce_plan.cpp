#include "ingot/backends/cpu/reduce_plan.h"

#include <algorithm>

namespace ingot {
namespace {

/// Elements of one part, and how many groups make splitting them unnecessary.
constexpr std::int64_t kPartElements = 32 << 10;
constexpr std::int64_t kManyGroups = 16;
constexpr std::int64_t kMaxParts = 32;
/// Partial results of all parts.
constexpr std::int64_t kMaxPartials = 64 << 10;

}  // namespace

ReducePlan::ReducePlan(const Shape& shape, const Layout& layout, std::span<const int> reduced_axes)
    : shape_(shape), plain_(layout.is_plain()) {
  const auto is_reduced = [&](int axis) {
    return std::find(reduced_axes.begin(), reduced_axes.end(), axis) != reduced_axes.end();
  };
  std::vector<std::int64_t> result_strides(static_cast<std::size_t>(shape.rank()), 0);
  std::int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    if (is_reduced(axis)) {
      reduces_padding_ |= shape[axis] % layout.block_of(axis) != 0;
      continue;
    }
    result_strides[static_cast<std::size_t>(axis)] = stride;
    stride *= shape[axis];
  }
  std::vector<PhysicalAxis> axes = physical_axes(shape, layout);
  std::erase_if(axes, [](const PhysicalAxis& a) { return a.size == 1; });
  const auto described = [&](const PhysicalAxis& a) {
    return Axis{a.size, a.stride, result_strides[static_cast<std::size_t>(a.axis)] * a.step, a.step,
                a.axis};
  };
  // From the inside: kept axes are columns, then reduced ones rows, then the rest is outside.
  while (!axes.empty() && !is_reduced(axes.back().axis)) {
    inner_.insert(inner_.begin(), described(axes.back()));
    columns_ *= axes.back().size;
    axes.pop_back();
  }
  while (!axes.empty() && is_reduced(axes.back().axis)) {
    rows_ *= axes.back().size;
    axes.pop_back();
  }
  consecutive_ = true;
  for (const PhysicalAxis& axis : axes) {
    const bool reduced = is_reduced(axis.axis);
    consecutive_ &= !reduced;
    (reduced ? reduced_ : kept_).push_back(described(axis));
    (reduced ? blocks_ : groups_) *= axis.size;
  }
  if (groups_ < kManyGroups) {
    const std::int64_t splittable = blocks_ > 1 ? blocks_ : rows_;
    parts_ = std::clamp(blocks_ * rows_ * columns_ / kPartElements, std::int64_t{1},
                        std::min(kMaxParts, std::max<std::int64_t>(splittable, 1)));
    if (parts_ * columns_ * groups_ > kMaxPartials) parts_ = 1;
  }
}

std::int64_t ReducePlan::group_walk_offset(std::int64_t group) const noexcept {
  std::int64_t offset = 0;
  for (auto it = kept_.rbegin(); it != kept_.rend(); ++it) {
    offset += group % it->size * it->stride;
    group /= it->size;
  }
  return offset;
}

std::int64_t ReducePlan::block_offset(std::int64_t block) const noexcept {
  std::int64_t offset = 0;
  for (auto it = reduced_.rbegin(); it != reduced_.rend(); ++it) {
    offset += block % it->size * it->stride;
    block /= it->size;
  }
  return offset;
}

std::int64_t ReducePlan::result_index(std::int64_t group, std::int64_t column) const noexcept {
  if (plain_) return group * columns_ + column;
  std::array<std::int64_t, Shape::kMaxRank> coordinate{};
  std::int64_t index = 0;
  const auto add = [&](const std::vector<Axis>& axes, std::int64_t position) {
    for (auto it = axes.rbegin(); it != axes.rend(); ++it) {
      const std::int64_t k = position % it->size;
      position /= it->size;
      index += k * it->result_stride;
      coordinate[static_cast<std::size_t>(it->logical)] += k * it->step;
    }
  };
  add(kept_, group);
  add(inner_, column);
  for (int axis = 0; axis < shape_.rank(); ++axis) {
    if (coordinate[static_cast<std::size_t>(axis)] >= shape_[axis]) return -1;
  }
  return index;
}

}  // namespace ingot
