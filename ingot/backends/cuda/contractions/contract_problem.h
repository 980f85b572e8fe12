// Products and convolutions as one thing: out(g, m, n) = sum over k of a(g, m, k) b(g, k, n).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ingot/backends/cuda/kernels/element.h"
#include "ingot/ir/target.h"

namespace ingot::cuda {

/// The problem and the text of its parts. Texts may use the constants that `constants` declares and
/// the ints g, m, k and n.
struct ContractProblem {
  std::int64_t groups = 1;
  std::int64_t m = 0, n = 0, k = 0;
  std::string constants;
  std::string a;  ///< body of `float a(int m, int k)`
  std::string b;  ///< body of `float b(int k, int n)`
  /// Declares c0, c1, ... of the result from g, m, n.
  std::string coordinates;
  /// Condition on them under which there is such a result; empty: always.
  std::string exists;
  bool a_along_k = true;  ///< neighbours in memory are neighbours along k (or m)
  bool b_along_n = true;  ///< along n (or k)
  Shape result;           ///< as it lies in memory, padding included
  /// Which of the three holds the batch in its outermost part, for operands whose axis 0 it is.
  enum class Batch : std::uint8_t { none, m, n, k };
  Batch batch = Batch::none;
};

/// Whether the Node is a product of matrices, a convolution or a gradient of one.
bool is_contraction(const Node& node);
/// Whether kernels that count up to `most` can number so many.
Support check_counts(std::int64_t rows, std::int64_t columns, std::int64_t terms,
                     std::int64_t most);
/// Of such a Node whose operands are in the Region.
ContractProblem contract_problem(const Node& node, const Region& region);

}  // namespace ingot::cuda
