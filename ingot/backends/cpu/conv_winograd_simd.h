// The inner loops of Winograd's convolutions, in SIMD code for the CPU at hand.
//
// F(2x2, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016): a tile
// of 2x2 outputs takes 16 products of a channel instead of 36. The 4x4 inputs d of a tile and the
// 3x3 weights g become V = B^T d B and U = G g G^T, elementwise products of the two are summed over
// the channels (as 16 matrix products over many tiles), and the sums M give the outputs A^T M A,
//
//   B^T = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1]   G = [1 0 0; ½ ½ ½; ½ -½ ½; 0 0 1]
//   A^T = [1 1 1 0; 0 1 -1 -1].
//
// The weight gradient is F(3x3, 2x2) on the same points: a tile of 2x2 gradients y becomes E y E^T,
// E = [1 0; 1 1; 1 -1; 0 1], and the sums S over tiles of products with V give C S C^T,
// C = [1 ½ ½ 0; 0 ½ -½ 0; 0 ½ ½ -1].
//
// All results are in 16 planes, one for each element of a transformed tile.
#pragma once

#include <cstdint>

namespace ingot::cpu {

inline constexpr std::int64_t kWinogradPlanes = 16;

/// Side-by-side tiles of one block of channels of one image; steps in elements.
struct WinogradTiles {
  std::int64_t block = 0;              ///< channels, one pixel's after another's
  std::int64_t rows = 0, columns = 0;  ///< of the image
  std::int64_t row = 0, column = 0;    ///< of the first tile's first pixel; may lie outside
  std::int64_t tiles = 0;
  std::int64_t tile = 0, plane = 0;  ///< steps in the transformed tiles
};

/// What the outputs get while they are in registers.
struct WinogradEpilogue {
  const float* bias = nullptr;  ///< of each channel of the block, or null
  bool relu = false;
};

/// One block of input channels by one of output channels ([taps][in][out]).
struct WinogradWeights {
  std::int64_t block = 0;
  std::int64_t row = 0,
               plane = 0;  ///< steps in the transformed weights, a row a channel summed over
};

/// c[m, n] = the sum over k of a[m, k] b[k, n]. Every element is summed in the order of k; sums of
/// stretches of k are added up, which keeps the rounding errors of long sums small.
struct WinogradProduct {
  const float* a = nullptr;
  const float* b = nullptr;
  float* c = nullptr;
  std::int64_t m = 0, n = 0, k = 0;  ///< n: a multiple of 8
  std::int64_t lda = 0, ldb = 0, ldc = 0;
  bool add = false;  ///< the sums to what is in c
};

struct WinogradCode {
  void (*input)(const WinogradTiles& tiles, const float* image, float* to);
  void (*output)(const WinogradTiles& tiles, const WinogradEpilogue& epilogue, const float* from,
                 float* image);
  /// Of the forward pass: rows are input channels.
  void (*weights)(const WinogradWeights& args, const float* weights, float* to);
  /// Of the data gradient: rows are output channels, taps in the opposite order.
  void (*flipped_weights)(const WinogradWeights& args, const float* weights, float* to);
  /// Tiles of 2x2 gradients of the output.
  void (*gradient)(const WinogradTiles& tiles, const float* image, float* to);
  /// The weight gradient from sums over tiles; rows are input channels.
  void (*weight_sums)(const WinogradWeights& args, const float* from, float* weights);
  void (*product)(const WinogradProduct& args);
  /// The same with a[k, m] for a[m, k].
  void (*transposed_product)(const WinogradProduct& args);
};
/// For blocks of 8 or 16 channels.
WinogradCode winograd_code();

}  // namespace ingot::cpu
