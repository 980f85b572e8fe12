// What kernels of pools on channels that lie next to each other have in common.
#pragma once

#include <cstddef>
#include <string>

#include "ingot/backends/cuda/kernels/cuda_kernel.h"
#include "ingot/backends/cuda/kernels/vector_walk.h"
#include "ingot/base/function_ref.h"
#include "ingot/ops/pool2d.h"

namespace ingot::cuda {

/// Whether every operand and the result have channels innermost, of the same type and in whole
/// vectors.
Support supports_vector_pool(const Node& node);

/// A kernel that reads and writes vectors of channels; its walk is over the result. Texts use u32 c
/// (the thread's first channel) and the vector's element e.
class VectorPoolKernel : public CudaKernel {
 protected:
  VectorPoolKernel(const KernelProblem& problem, std::string name);

  /// A stage of `blocks` blocks a column of channels.
  [[nodiscard]] Stage stage_of(const StageRequest& request, std::int64_t blocks) const;
  /// The vector of pixel `row` of an operand.
  [[nodiscard]] std::string load(std::size_t operand, const std::string& row) const;
  /// Element e of words of such a vector.
  [[nodiscard]] std::string get(std::size_t operand, const std::string& words) const;
  /// Stores `value` of each element e as the result's pixel `row`.
  [[nodiscard]] std::string store(const std::string& row, const std::string& value) const;
  /// Loads operand 0 at all taps of the window that begins at (h1, w1) of `image`, or at a row of
  /// them where they are many, before `look` at each: it sees ti, tj, `inside` (taps outside the
  /// image hold another of its pixels) and the words that `look` is given the name of.
  [[nodiscard]] std::string each_tap(FunctionRef<std::string(const std::string&)> look) const;
  /// `for (...) ` over the vector's elements e.
  [[nodiscard]] std::string each_element() const;

  Pool2dShape pool_;
  VectorWalk walk_;
};

/// Whether a block's memory holds the windows that meet a few pixels; also of what is not laid out
/// yet.
bool fits_pool_tile(const Node& max_pool_grad);

}  // namespace ingot::cuda
