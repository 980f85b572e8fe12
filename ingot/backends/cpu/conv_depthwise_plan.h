// Depthwise convolutions and their data gradients as one thing: each row of the result is a sum of
// rows of the source, one a row of the kernel, shifted by the kernel's columns.
#pragma once

#include <cstdint>
#include <vector>

#include "ingot/backends/cpu/conv_problem.h"

namespace ingot::cpu {

/// A row of the source that a row of the result reads, and the row of the kernel for it.
struct DepthwiseRow {
  std::int64_t source = 0;
  std::int64_t kernel = 0;
};

/// Columns base, base + step, ... of the result. The u-th reads at tap t column
/// first + u * stride + t * dilation of the source, with column kernel_first + t * kernel_step of
/// the kernel.
struct DepthwiseColumns {
  std::int64_t base = 0, step = 1, count = 0;
  std::int64_t first = 0, stride = 1, dilation = 1;
  int taps = 0;  ///< 0: no column of the kernel reaches them
  std::int64_t kernel_first = 0, kernel_step = 1;
};

struct DepthwisePlan {
  std::int64_t source_rows = 0, source_columns = 0;
  std::int64_t result_rows = 0, result_columns = 0;
  std::int64_t kernel_columns = 0;
  std::vector<DepthwiseRow> rows = {};
  std::vector<std::int64_t> first_row = {};  ///< of each row of the result in `rows`, and the end
  /// One; for a data gradient one for each residue of the columns modulo the stride.
  std::vector<DepthwiseColumns> columns = {};

  /// For conv2d (`forward`) or conv2d_input_grad.
  static DepthwisePlan of(const ConvProblem& problem, bool forward);
};

}  // namespace ingot::cpu
