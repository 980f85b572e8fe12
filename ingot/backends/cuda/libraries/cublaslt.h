// cuBLASLt's algorithms for products of matrices.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/backends/cuda/libraries/lt_problem.h"
#include "ingot/backends/cuda/libraries/plan_choice.h"

namespace ingot::cuda {

class LtHandle;

/// Why cuBLASLt cannot be used; empty when it can.
const std::string& cublaslt_trouble();
/// 130200 for 13.2.0. Errors: unsupported, when it cannot be used.
std::size_t cublaslt_version();
/// Errors: unsupported when the library is missing; internal, with what it said.
std::shared_ptr<LtHandle> make_lt_handle();

/// Memory of a product's matrices; bias and addend where the problem has them. The addend does not
/// lie where the result will: an algorithm that cuts the sum would give other digits then.
struct LtMemory {
  const std::byte* a = nullptr;
  const std::byte* b = nullptr;
  std::byte* d = nullptr;
  const std::byte* bias = nullptr;
  const std::byte* addend = nullptr;
};

/// An algorithm, ready to run one problem, by the name "cublasLt WORDS". It sums in a fixed order,
/// in f32.
class LtCall : public PlannedCall {
 public:
  /// Puts the work on the stream, which may be captured. Thread safe. Errors: internal.
  virtual void enqueue(CUstream stream, const LtMemory& memory, std::byte* workspace) const = 0;
};

/// At most `most` algorithms by the library's heuristics, best first; none where it has none.
/// Errors: internal.
std::vector<std::unique_ptr<LtCall>> lt_calls(const std::shared_ptr<LtHandle>& handle,
                                              const LtProblem& problem, int most);
/// Whether LtCall::name() gave the name.
bool is_lt_name(std::string_view name);
/// The algorithm of that name, without asking heuristics; null when this library has none such.
std::unique_ptr<LtCall> lt_call(const std::shared_ptr<LtHandle>& handle, const LtProblem& problem,
                                std::string_view name);

}  // namespace ingot::cuda
