// Products of matrices as cuBLASLt takes them.
#pragma once

#include <cstdint>
#include <string>

#include "ingot/backends/cuda/libraries/library_conv.h"
#include "ingot/ir/graph.h"
#include "ingot/ir/target.h"

namespace ingot::cuda {

/// A matrix that lies by columns, each `ld` elements after the one before.
struct LtMatrix {
  DType dtype = DType::f32;
  std::int64_t rows = 0, columns = 0, ld = 0;
  std::int64_t step = 0;    ///< from one matrix of a batch to the next
  bool transposed = false;  ///< an operand that is read so
};

/// d = op(a) op(b), plus a matrix like d, or the bias, one number a row, then the ReLU.
struct LtProblem {
  LtMatrix a, b, d;
  std::int64_t batch = 1;
  bool tf32 = false;  ///< products of f32 may be rounded to tf32
  bool bias = false;
  DType bias_dtype = DType::f32;
  bool addend = false;
  bool relu = false;

  [[nodiscard]] double flops() const;
  /// That a multiprocessor does at most.
  [[nodiscard]] double flops_of_cycle() const { return contraction_flops_of_cycle(a.dtype, tf32); }
  /// Everything that a choice of an algorithm depends on.
  [[nodiscard]] std::string text() const;
};

/// Of a matmul Node, or of a Region of one with a library's epilogue. The library's a and b are the
/// Node's operands `b` and `a` (rows that lie one after the other are columns).
struct LtProblemResult {
  LtProblem problem;
  int a = -1, b = -1, bias = -1, addend = -1;  ///< which operands of the Node
  int result = 0;                              ///< their number
  Support support;
};
LtProblemResult lt_problem(const Node& node);

/// Whether a convolution is a product of matrices: 1x1, stride 1, no padding, channels innermost,
/// followed by what the library does.
bool is_product(const ConvProblem& problem);
/// A convolution that is one: its a, b and d are two of the convolution's tensors and the result.
LtProblem lt_problem(const ConvProblem& conv);

}  // namespace ingot::cuda
