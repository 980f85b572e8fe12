// Counter-based random numbers: Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3" (SC 2011).
//
// Every random element of Ingot is a function of (seed, stream, step, logical element index) and of
// nothing else: not of layout, thread or the order of passes. The definitions below are exact
// integer or single-rounding formulas, so that every backend can reproduce them.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

namespace ingot {

using PhiloxBlock = std::array<std::uint32_t, 4>;

/// Ten rounds on `counter` under `key` (low word first).
constexpr PhiloxBlock philox4x32(PhiloxBlock counter, std::uint64_t key) noexcept {
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {
        static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

/// The counter of block `block` (48 bits) of a stream (32 bits, fixed when the graph is built) at a
/// step (48 bits): {block[0,32), stream, step[0,32), step[32,48) | block[32,48) << 16}.
constexpr PhiloxBlock philox_counter(std::uint32_t stream, std::uint64_t step,
                                     std::uint64_t block) noexcept {
  return {static_cast<std::uint32_t>(block), stream, static_cast<std::uint32_t>(step),
          static_cast<std::uint32_t>((step >> 32) & 0xffffu) |
              (static_cast<std::uint32_t>(block >> 32) << 16)};
}

/// The four words of elements 4*block ... 4*block+3.
constexpr PhiloxBlock philox_block(std::uint64_t seed, std::uint32_t stream, std::uint64_t step,
                                   std::uint64_t block) noexcept {
  return philox4x32(philox_counter(stream, step, block), seed);
}

/// The word of element `index` (below 2^50).
constexpr std::uint32_t philox_word(std::uint64_t seed, std::uint32_t stream, std::uint64_t step,
                                    std::uint64_t index) noexcept {
  return philox_block(seed, stream, step, index / 4)[index % 4];
}

/// The upper 24 bits of a word as a float in [0, 1), exact in f32.
constexpr float philox_to_uniform(std::uint32_t word) noexcept {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}

/// Uniform in [0, 1) with 24 bits.
constexpr float philox_uniform(std::uint64_t seed, std::uint32_t stream, std::uint64_t step,
                               std::uint64_t index) noexcept {
  return philox_to_uniform(philox_word(seed, stream, step, index));
}

/// Uniform in [0, 1) with 53 bits, for f64 tensors; two elements share one block, so a stream gives
/// either these or the 24-bit numbers.
constexpr double philox_uniform_f64(std::uint64_t seed, std::uint32_t stream, std::uint64_t step,
                                    std::uint64_t index) noexcept {
  const PhiloxBlock words = philox_block(seed, stream, step, index / 2);
  const std::uint64_t low = words[index % 2 * 2];
  const std::uint64_t high = words[index % 2 * 2 + 1];
  return static_cast<double>((high << 21) ^ (low >> 11)) * 0x1p-53;
}

/// An integer uniform in [0, bound), bound > 0; the bias is below bound / 2^64.
constexpr std::uint64_t philox_below(std::uint64_t seed, std::uint32_t stream, std::uint64_t step,
                                     std::uint64_t index, std::uint64_t bound) noexcept {
  const PhiloxBlock words = philox_block(seed, stream, step, index / 2);
  const std::uint64_t low = words[index % 2 * 2];
  const std::uint64_t high = words[index % 2 * 2 + 1];
  // Upper half of the 128-bit product of bound and a random 64-bit word, in 32-bit halves.
  const std::uint64_t bound_low = bound & 0xffffffffu;
  const std::uint64_t bound_high = bound >> 32;
  const std::uint64_t cross = high * bound_low + (low * bound_low >> 32);
  const std::uint64_t middle = low * bound_high + (cross & 0xffffffffu);
  return high * bound_high + (cross >> 32) + (middle >> 32);
}

/// An element is 1 when the upper 24 bits of its word are below this: ceil(p * 2^24), p clamped to
/// [0, 1]. Kernels compare integers, so that no rounding of p can differ between backends.
constexpr std::uint32_t philox_bernoulli_threshold(double probability) noexcept {
  if (!(probability > 0.0)) return 0;
  if (probability >= 1.0) return 1u << 24;
  const double scaled = probability * 0x1p24;
  const auto floor = static_cast<std::uint32_t>(scaled);
  return static_cast<double>(floor) < scaled ? floor + 1 : floor;
}

/// True with the given probability.
constexpr bool philox_bernoulli(std::uint64_t seed, std::uint32_t stream, std::uint64_t step,
                                std::uint64_t index, double probability) noexcept {
  return (philox_word(seed, stream, step, index) >> 8) < philox_bernoulli_threshold(probability);
}

/// Box-Muller: two standard normals from two words. With u1 = ((a >> 8) + 1) 2^-24 in (0, 1] and
/// u2 = (b >> 8) 2^-24, both exact in f32: sqrt(-2 ln u1) * {cos, sin}(2 pi u2); |z| <= 5.77.
std::pair<double, double> philox_box_muller(std::uint32_t a, std::uint32_t b) noexcept;

/// Standard normal: elements 4k and 4k+1 are the pair of words 0 and 1, 4k+2 and 4k+3 of 2 and 3.
double philox_normal(std::uint64_t seed, std::uint32_t stream, std::uint64_t step,
                     std::uint64_t index) noexcept;

}  // namespace ingot
