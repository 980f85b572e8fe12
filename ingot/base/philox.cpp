#include "ingot/base/philox.h"

#include <cmath>
#include <numbers>

namespace ingot {

std::pair<double, double> philox_box_muller(std::uint32_t a, std::uint32_t b) noexcept {
  const double u1 = (static_cast<double>(a >> 8) + 1.0) * 0x1p-24;
  const double u2 = static_cast<double>(b >> 8) * 0x1p-24;
  const double radius = std::sqrt(-2.0 * std::log(u1));
  const double angle = 2.0 * std::numbers::pi * u2;
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

double philox_normal(std::uint64_t seed, std::uint32_t stream, std::uint64_t step,
                     std::uint64_t index) noexcept {
  const PhiloxBlock words = philox_block(seed, stream, step, index / 4);
  const std::size_t pair = index % 4 / 2 * 2;
  const auto [cosine, sine] = philox_box_muller(words[pair], words[pair + 1]);
  return index % 2 == 0 ? cosine : sine;
}

}  // namespace ingot
