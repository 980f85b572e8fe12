// Where elements lie in any layout: an element's position is the sum of one term an axis.
#pragma once

#include <cstdint>
#include <vector>

#include "ingot/ir/layout.h"

namespace ingot::cpu {

/// Position of an element along one axis, all other coordinates 0.
std::vector<std::int64_t> axis_offsets(const Shape& shape, const Layout& layout, int axis);

/// The four axes of a batch of images.
struct ImageOffsets {
  ImageOffsets() = default;
  ImageOffsets(const Shape& shape, const Layout& layout);

  std::int64_t image = 0;              ///< elements from one image to the next
  std::vector<std::int64_t> channels;  ///< position of each channel
  std::vector<std::int64_t> rows;
  std::int64_t column = 1;  ///< elements from one column to the next
};

}  // namespace ingot::cpu
