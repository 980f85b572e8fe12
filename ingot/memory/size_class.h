// Geometric size classes of the BufferPool: four to each power of two, so that a class exceeds a
// request above 64 bytes by less than a quarter of the request.
#pragma once

#include <bit>
#include <cstddef>

namespace ingot {

inline constexpr std::size_t kSmallestSizeClass = 64;
/// The largest request, 2^62 bytes.
inline constexpr std::size_t kLargestPooledSize = std::size_t{1} << 62;
inline constexpr int kSizeClassCount = 4 * (62 - 6) + 1;

/// Index of the smallest class of at least `bytes` (at most kLargestPooledSize).
constexpr int size_class_of(std::size_t bytes) noexcept {
  if (bytes <= kSmallestSizeClass) return 0;
  const std::size_t last = bytes - 1;
  const int exponent = static_cast<int>(std::bit_width(last)) - 1;
  const auto quarter = static_cast<int>((last >> (exponent - 2)) & 3u);
  return 4 * (exponent - 6) + quarter + 1;
}

/// Bytes of a class: 64, 80, 96, 112, 128, 160, ...
constexpr std::size_t size_class_bytes(int size_class) noexcept {
  if (size_class == 0) return kSmallestSizeClass;
  const int exponent = (size_class - 1) / 4 + 6;
  const auto quarter = static_cast<std::size_t>((size_class - 1) % 4);
  return (quarter + 5) << (exponent - 2);
}

}  // namespace ingot
