// Random permutations that depend on a seed alone.
#pragma once

#include <cstdint>
#include <span>

namespace ingot::data {

/// Philox streams (see base/philox.h) of the data room. A graph numbers its own from 0, so these
/// lie far above.
enum class DataStream : std::uint32_t {
  shuffle = 0xDA7A0001u,
  split = 0xDA7A0002u,
  augment = 0xDA7A0003u,
  synthetic = 0xDA7A0004u,
};

/// Fill `order` with a permutation of 0 ... size-1: Fisher-Yates from the end, its draws keyed by
/// (seed, stream, step).
void shuffled_order(std::uint64_t seed, DataStream stream, std::uint64_t step,
                    std::span<std::int64_t> order) noexcept;

}  // namespace ingot::data
