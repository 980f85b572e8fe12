// Products and convolutions as tensor cores take them: how operands come by copies of 4 to 16
// bytes.
#pragma once

#include <cstdint>
#include <string>

#include "ingot/backends/cuda/kernels/element.h"
#include "ingot/ir/target.h"

namespace ingot::cuda {

/// One operand of out(g, m, n) = sum over k of a(m, k) b(k, n).
struct MmaOperand {
  /// Members of a struct for device/mma.inc's Op; they may use base, g and k1 (the end of k).
  std::string text;
  std::string pointer;   ///< base
  bool k_lines = false;  ///< neighbours in memory are neighbours along m or n, not along k
  int copy_bytes = 0;    ///< at once
  bool near = false;     ///< a block reads the same again soon: taps of neighbouring pixels
};

struct MmaProblem {
  std::int64_t groups = 1;
  std::int64_t m = 0, n = 0;  ///< with padding that is stored as zeros
  std::int64_t k = 0;         ///< the most of any group
  std::string group_text;     ///< declares what `terms` uses, from g
  std::string terms;          ///< expression for a group's k
  double mean_terms = 0;      ///< over the groups
  std::string constants;      ///< declares what the texts use
  MmaOperand a, b;
  /// Declares c0, c1, ... of the result, and `at`, its place in memory, from g, m, n.
  std::string coordinates;
  std::string exists;      ///< condition under which there is such a result; empty: always
  std::string is_padding;  ///< condition under which it is a zero; empty: never
  /// Neighbours along n from a multiple of it are neighbours in memory, at a multiple of it.
  std::int64_t n_run = 1;
  bool n_fast = true;  ///< results are neighbours along n (or m)
  DType dtype = DType::f32;
  Layout layout;  ///< of the result
};

/// Of a matmul or convolution Node, or why there is none.
Support mma_problem(const Node& node, const Region& region, MmaProblem& problem);

}  // namespace ingot::cuda
