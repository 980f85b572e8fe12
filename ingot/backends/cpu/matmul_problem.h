// The numbers of a matrix product, and how it is cut into tasks.
#pragma once

#include <cstdint>

#include "ingot/ir/graph.h"

namespace ingot::cpu {

/// `batch` products c[m, n] = the sum over k of a[m, k] b[k, n]; a transposed operand is stored
/// with its axes swapped.
struct MatmulProblem {
  std::int64_t batch = 1, m = 1, n = 1, k = 1;
  bool transpose_a = false, transpose_b = false;

  static MatmulProblem of(const Node& node);

  [[nodiscard]] std::int64_t lda() const noexcept { return transpose_a ? m : k; }
  [[nodiscard]] std::int64_t ldb() const noexcept { return transpose_b ? k : n; }
  /// A multiply-add counted as two.
  [[nodiscard]] double flops() const noexcept {
    return 2.0 * static_cast<double>(batch * m) * static_cast<double>(n * k);
  }
};

/// Blocks of rows and columns of the products; from the shape alone.
struct MatmulTasks {
  std::int64_t rows = 1, columns = 1;  ///< of a block
  std::int64_t row_blocks = 1, column_blocks = 1;

  /// Blocks are cut at multiples of `row_step` and `column_step`.
  MatmulTasks(const MatmulProblem& problem, std::int64_t row_step, std::int64_t column_step);

  [[nodiscard]] std::int64_t count(const MatmulProblem& problem) const noexcept {
    return problem.batch * row_blocks * column_blocks;
  }
};

/// Slices of whole rows of the products, each one stretch of the result's memory; from the shape
/// and the size of a second-level cache.
struct MatmulSlices {
  std::int64_t rows = 1;  ///< of a slice
  std::int64_t row_blocks = 1;
  /// Whether there are about as many as tasks would be; few rows or a large b make it dear to take
  /// b whole for each slice.
  bool enough = false;

  MatmulSlices(const MatmulProblem& problem, std::int64_t row_step, std::int64_t element_bytes,
               std::int64_t cache_bytes);

  [[nodiscard]] std::int64_t count(const MatmulProblem& problem) const noexcept {
    return problem.batch * row_blocks;
  }
};

/// What a task computes: a corner of one product and its size.
struct MatmulBlock {
  std::int64_t batch, m, n, rows, columns;
};
MatmulBlock matmul_block(const MatmulProblem& problem, const MatmulTasks& tasks, std::int64_t task);
MatmulBlock matmul_block(const MatmulProblem& problem, const MatmulSlices& slices,
                         std::int64_t slice);

}  // namespace ingot::cpu
