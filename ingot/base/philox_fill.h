// Many random numbers at once: those of philox.h, each block of words made once.
#pragma once

#include <cstdint>
#include <span>

namespace ingot {

/// Elements `first`, `first` + 1, ... of philox_uniform.
void philox_fill_uniform(std::span<float> out, std::uint64_t seed, std::uint32_t stream,
                         std::uint64_t step, std::uint64_t first) noexcept;
/// Elements `first`, `first` + 1, ... of philox_normal.
void philox_fill_normal(std::span<double> out, std::uint64_t seed, std::uint32_t stream,
                        std::uint64_t step, std::uint64_t first) noexcept;

}  // namespace ingot
