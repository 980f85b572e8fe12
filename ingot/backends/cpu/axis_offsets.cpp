#include "ingot/backends/cpu/axis_offsets.h"

#include <array>

namespace ingot::cpu {

std::vector<std::int64_t> axis_offsets(const Shape& shape, const Layout& layout, int axis) {
  std::array<std::int64_t, Shape::kMaxRank> index{};
  std::vector<std::int64_t> offsets(static_cast<std::size_t>(shape[axis]));
  std::int64_t& coordinate = index[static_cast<std::size_t>(axis)];
  for (auto& offset : offsets) {
    offset = layout.offset(shape, index.data());
    ++coordinate;
  }
  return offsets;
}

ImageOffsets::ImageOffsets(const Shape& shape, const Layout& layout)
    : channels(axis_offsets(shape, layout, 1)), rows(axis_offsets(shape, layout, 2)) {
  const auto step = [&](int axis, std::int64_t alone) {
    const std::vector<std::int64_t> offsets = axis_offsets(shape, layout, axis);
    return offsets.size() > 1 ? offsets[1] : alone;
  };
  image = step(0, 0);
  column = step(3, 1);
}

}  // namespace ingot::cpu
