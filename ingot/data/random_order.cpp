#include "ingot/data/random_order.h"

#include <numeric>
#include <utility>

#include "ingot/base/philox.h"

namespace ingot::data {

void shuffled_order(std::uint64_t seed, DataStream stream, std::uint64_t step,
                    std::span<std::int64_t> order) noexcept {
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::size_t i = order.size(); i > 1; --i) {
    const std::uint64_t other =
        philox_below(seed, static_cast<std::uint32_t>(stream), step, order.size() - i, i);
    std::swap(order[i - 1], order[other]);
  }
}

}  // namespace ingot::data
