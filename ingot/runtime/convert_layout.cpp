#include "ingot/runtime/convert_layout.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace ingot {
namespace {

/// Calls fn(logical byte offset, physical byte offset, element size) for every element.
template <typename Fn>
void for_each_element(const TensorType& type, const Layout& layout, Fn&& fn) {
  const std::size_t size = dtype_size(type.dtype);
  std::array<std::int64_t, Shape::kMaxRank> index{};
  const std::int64_t n = type.numel();
  for (std::int64_t flat = 0; flat < n; ++flat) {
    const std::int64_t target = layout.offset(type.shape, index.data());
    fn(static_cast<std::size_t>(flat) * size, static_cast<std::size_t>(target) * size, size);
    for (int axis = type.shape.rank() - 1; axis >= 0; --axis) {
      if (++index[static_cast<std::size_t>(axis)] < type.shape[axis]) break;
      index[static_cast<std::size_t>(axis)] = 0;
    }
  }
}

}  // namespace

void to_physical(const HostView& logical, const Layout& layout, std::byte* physical) {
  if (layout.is_plain()) {
    std::copy_n(logical.data, logical.type.bytes(), physical);
    return;
  }
  std::memset(physical, 0, static_cast<std::size_t>(layout.physical_bytes(logical.type)));
  for_each_element(logical.type, layout, [&](std::size_t from, std::size_t to, std::size_t size) {
    std::memcpy(physical + to, logical.data + from, size);
  });
}

void to_logical(const std::byte* physical, const Layout& layout, const HostView& logical) {
  if (layout.is_plain()) {
    std::copy_n(physical, logical.type.bytes(), logical.data);
    return;
  }
  for_each_element(logical.type, layout, [&](std::size_t to, std::size_t from, std::size_t size) {
    std::memcpy(logical.data + to, physical + from, size);
  });
}

}  // namespace ingot
