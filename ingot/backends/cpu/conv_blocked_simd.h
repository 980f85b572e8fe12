// The inner loops of weight gradients on channel-blocked layouts, in SIMD code for the CPU at hand.
#pragma once

#include <array>
#include <cstdint>

namespace ingot::cpu {

/// What to bring into the second-level cache meanwhile: a line for each pixel that is read, where
/// the columns of one row are all that is read of an image.
struct BlockedFetch {
  const float* at = nullptr;
  std::int64_t image = 0;  ///< elements from one image to the next
};

/// Adds up, over images, rows and columns, the products of a block of input channels with one or
/// two blocks of the output's gradient, for one tap of the kernel. All steps are in elements.
struct BlockedTapArgs {
  const float* x = nullptr;  ///< at the tap's first pixel; its input channels follow one another
  const float* g = nullptr;
  float* w = nullptr;  ///< [input channels][output channels] of the tap
  std::int64_t images = 0, rows = 0, columns = 0;
  std::int64_t x_image = 0, x_row = 0, x_column = 0;
  std::int64_t g_image = 0, g_row = 0;
  std::int64_t g_block = 0, w_block = 0;  ///< from the first block of the gradient to the second
  bool two_blocks = false;
  bool add = false;                        ///< to what is in `w`
  std::array<BlockedFetch, 2> fetch = {};  ///< halves of the inputs take turns
};

/// For blocks of 8 or 16 channels; null when the CPU's vectors are shorter.
struct BlockedCode {
  using Function = void (*)(const BlockedTapArgs& args);
  Function tap = nullptr;      ///< adds the products one by one to what is in `w`; fetches nothing
  Function stretch = nullptr;  ///< adds their sum, which loses less, and fetches
};
BlockedCode blocked_code(std::int64_t block);

}  // namespace ingot::cpu
