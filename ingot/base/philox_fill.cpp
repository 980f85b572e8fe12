#include "ingot/base/philox_fill.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "ingot/base/philox.h"

namespace ingot {
namespace {

/// Elements `first`, ... of a stream that gives four for each block of words.
template <typename T, typename Fn>
void fill_by_blocks(std::span<T> out, std::uint64_t first, Fn&& block_of) {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t index = first + done;
    const std::array<T, 4> four = block_of(index / 4);
    const std::size_t skip = index % 4;
    const std::size_t count = std::min(4 - skip, out.size() - done);
    std::copy_n(four.begin() + static_cast<std::ptrdiff_t>(skip), count,
                out.begin() + static_cast<std::ptrdiff_t>(done));
    done += count;
  }
}

}  // namespace

void philox_fill_uniform(std::span<float> out, std::uint64_t seed, std::uint32_t stream,
                         std::uint64_t step, std::uint64_t first) noexcept {
  fill_by_blocks(out, first, [&](std::uint64_t block) {
    const PhiloxBlock words = philox_block(seed, stream, step, block);
    return std::array{philox_to_uniform(words[0]), philox_to_uniform(words[1]),
                      philox_to_uniform(words[2]), philox_to_uniform(words[3])};
  });
}

void philox_fill_normal(std::span<double> out, std::uint64_t seed, std::uint32_t stream,
                        std::uint64_t step, std::uint64_t first) noexcept {
  fill_by_blocks(out, first, [&](std::uint64_t block) {
    const PhiloxBlock words = philox_block(seed, stream, step, block);
    const auto [a, b] = philox_box_muller(words[0], words[1]);
    const auto [c, d] = philox_box_muller(words[2], words[3]);
    return std::array{a, b, c, d};
  });
}

}  // namespace ingot
