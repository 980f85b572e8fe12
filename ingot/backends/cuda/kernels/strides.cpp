#include "ingot/backends/cuda/kernels/strides.h"

#include "ingot/ir/bits.h"

namespace ingot::cuda {

std::optional<Strides> strides_of(const Layout& layout, const Shape& shape) {
  const int rank = shape.rank();
  const auto axis_at = [&layout](int place) {
    return layout.order().empty() ? place : layout.order()[static_cast<std::size_t>(place)];
  };
  if (layout.blocks().size() > 1 || has_bits(layout)) return std::nullopt;
  if (!layout.blocks().empty() && (rank == 0 || layout.blocks().front().axis != axis_at(rank - 1)))
    return std::nullopt;
  Strides strides;
  strides.step.resize(static_cast<std::size_t>(rank));
  strides.extent.resize(static_cast<std::size_t>(rank));
  std::int64_t step = 1;
  for (int place = rank - 1; place >= 0; --place) {
    const int axis = axis_at(place);
    const std::int64_t block = layout.block_of(axis);
    const std::int64_t extent = (shape[axis] + block - 1) / block * block;
    strides.step[static_cast<std::size_t>(axis)] = step;
    strides.extent[static_cast<std::size_t>(axis)] = extent;
    step *= extent;
  }
  return strides;
}

}  // namespace ingot::cuda
