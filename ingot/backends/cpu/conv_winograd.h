// Convolutions of 3x3 kernels by Winograd's algorithm on channel-blocked layouts; see
// conv_winograd_simd.h.
#pragma once

#include <cstdint>
#include <memory>

#include "ingot/backends/cpu/conv_problem.h"
#include "ingot/backends/cpu/conv_winograd_simd.h"
#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/runtime/kernel_table.h"

namespace ingot::cpu {

/// For conv2d and its two gradients; f32, stride 1, activations in blocks of channels ("aBcd16b")
/// and weights in blocks of both ("ABcd16b16a"). Refuses what direct products do as fast.
KernelCandidate winograd_conv_candidate();

/// The tiles of a batch of images, in order.
struct WinogradGrid {
  std::int64_t rows = 0, columns = 0;  ///< tiles of an image

  /// Of the output of a forward pass, or of the input for the data gradient.
  WinogradGrid(std::int64_t height, std::int64_t width)
      : rows((height + 1) / 2), columns((width + 1) / 2) {}

  [[nodiscard]] std::int64_t image() const noexcept { return rows * columns; }

  /// Calls fn(image, row, column, tiles, index) for the runs of side-by-side tiles of
  /// [begin, end); index: of the first, from `begin` on.
  template <typename Fn>
  void for_each_run(std::int64_t begin, std::int64_t end, const Fn& fn) const {
    for (std::int64_t tile = begin; tile < end;) {
      const std::int64_t column = tile % columns;
      const std::int64_t count = columns - column < end - tile ? columns - column : end - tile;
      fn(tile / image(), tile / columns % rows, column, count, tile - begin);
      tile += count;
    }
  }
};

/// What the kernels read and write, in channels of the problem as it is: x, y and weights.
struct WinogradShape {
  std::int64_t block = 0;  ///< 0: the layouts are others
  std::int64_t n = 0;
  std::int64_t in = 0, in_rows = 0, in_columns = 0;  ///< what is transformed before the products
  std::int64_t out = 0, out_rows = 0, out_columns = 0;
  std::int64_t top = 0, left = 0;  ///< padding

  /// The data gradient is a convolution of y's gradient.
  static WinogradShape of(const Node& node);

  /// Tiles side by side, the first one in this row and column of the grid.
  [[nodiscard]] WinogradTiles inputs(std::int64_t row, std::int64_t column, std::int64_t tiles,
                                     std::int64_t tile, std::int64_t plane) const noexcept {
    return {block, in_rows, in_columns, 2 * row - top, 2 * column - left, tiles, tile, plane};
  }
  [[nodiscard]] WinogradTiles outputs(std::int64_t row, std::int64_t column, std::int64_t tiles,
                                      std::int64_t tile, std::int64_t plane) const noexcept {
    return {block, out_rows, out_columns, 2 * row, 2 * column, tiles, tile, plane};
  }
};

/// Floats in whole cache lines.
constexpr std::int64_t winograd_aligned(std::int64_t floats) { return (floats + 15) / 16 * 16; }

std::unique_ptr<Kernel> make_winograd_correlate(const KernelProblem& problem,
                                                const CpuBackend& backend);
std::unique_ptr<Kernel> make_winograd_weight_grad(const KernelProblem& problem,
                                                  const CpuBackend& backend);

}  // namespace ingot::cpu
