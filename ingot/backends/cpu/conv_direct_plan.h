// How Ingot's own convolution kernels see a convolution: sums of shifted planes.
//
// The source image is copied, padded with zeros, into planes in the worker's scratch: one plane for
// each channel and each residue of the coordinates modulo the stride, so that every tap of the
// kernel reads consecutive elements. With rows of `pitch` elements, output (u, v) of the plane at
// position u * pitch + v is the sum over channels and taps of weight * plane[u * pitch + v + tap].
// The data gradient is the same sum over the planes of the output's gradient, once for each residue
// of the input's coordinates, with those taps alone that reach it.
#pragma once

#include <cstdint>
#include <vector>

#include "ingot/backends/cpu/axis_offsets.h"
#include "ingot/backends/cpu/conv_problem.h"

namespace ingot::cpu {

/// A tap of the kernel as the planes see it.
struct PlaneTap {
  std::int64_t kernel_index = 0;  ///< row * kw + column in the kernel
  std::int64_t phase = 0;
  std::int64_t row = 0;
  std::int64_t column = 0;
};

/// The part of the output whose coordinates are step * u + base.
struct PlanePass {
  std::vector<PlaneTap> taps;
  std::int64_t rows = 0, columns = 0;  ///< of u and v
  std::int64_t row_base = 0, column_base = 0;
  std::int64_t row_step = 1, column_step = 1;
};

/// For a divisor b > 0.
constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) noexcept {
  return a > 0 ? (a + b - 1) / b : -(-a / b);
}

struct PlaneGeometry {
  /// Plane element (r, s) of phase (a, b) is source element (r * phase_rows + a - top,
  /// s * phase_columns + b - left), or 0 outside of the source.
  std::int64_t phase_rows = 1, phase_columns = 1;
  std::int64_t top = 0, left = 0;
  std::int64_t source_rows = 0, source_columns = 0;
  std::int64_t halo = 0;   ///< rows of a plane beyond those of u
  std::int64_t pitch = 0;  ///< elements of a row of a plane

  [[nodiscard]] std::int64_t phases() const noexcept { return phase_rows * phase_columns; }
  /// Elements of one plane for `rows` rows of u.
  [[nodiscard]] std::int64_t plane_size(std::int64_t rows) const noexcept {
    return (rows + halo) * pitch;
  }
};

struct PlanePlan : PlaneGeometry {
  std::int64_t max_rows = 0;  ///< largest `rows` of the passes
  std::vector<PlanePass> passes;
};

/// For the forward pass and the weight gradient (planes of x).
PlanePlan forward_plan(const ConvProblem& problem);
/// For the data gradient (planes of y's gradient).
PlanePlan input_grad_plan(const ConvProblem& problem);

}  // namespace ingot::cpu
