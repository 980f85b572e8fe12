// The inner loops of convolutions whose weights pass by once, in SIMD code for the CPU at hand.
#pragma once

#include <cstdint>

namespace ingot::cpu {

/// Blocks of input channels of one tap each that are summed up at a time: in one accumulator a sum
/// over all of them would round too often.
inline constexpr std::int64_t kStreamedDepth = 16;
/// Elements from one pixel's inputs to the next one's: not a power of two, so that pixels do not
/// share the lines of a cache.
constexpr std::int64_t streamed_row(std::int64_t block) { return kStreamedDepth * block + 16; }

/// y[pixel, output channel] (+)= the sum over depth of x[pixel, depth] w[depth, output channel],
/// for one block of output channels.
struct StreamedArgs {
  const float* x = nullptr;  ///< rows of streamed_row()
  const float* w = nullptr;
  float* y = nullptr;
  std::int64_t pixels = 0;
  std::int64_t depth = 0;       ///< at most kStreamedDepth blocks
  bool add = false;             ///< to what is in y
  const float* bias = nullptr;  ///< added last
  bool relu = false;            ///< then, the larger of the sum and 0
};

/// For blocks of 8 or 16 channels; null when the CPU's vectors are shorter.
using StreamedProduct = void (*)(const StreamedArgs& args);
StreamedProduct streamed_product(std::int64_t block);

}  // namespace ingot::cpu
