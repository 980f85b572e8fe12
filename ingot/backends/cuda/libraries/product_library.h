// Which of cuBLASLt's algorithms runs a product.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/backends/cuda/libraries/cublaslt.h"
#include "ingot/backends/cuda/libraries/plan_choice.h"
#include "ingot/runtime/kernel_choices.h"

namespace ingot::cuda {

/// Algorithms by the library's heuristics or, tuned, by timing. Thread safe.
class ProductLibrary {
 public:
  ProductLibrary(std::shared_ptr<CudaDevice> device, Tune tune,
                 std::shared_ptr<KernelChoices> choices)
      : device_(std::move(device)), tune_(tune), choices_(std::move(choices)) {}

  /// The same for equal problems; null when the library cannot run it, and `why` says it.
  std::shared_ptr<const LtCall> find(const LtProblem& problem, std::string& why);
  /// As many as are timed, best expected first; none where the library is missing. Errors:
  /// internal.
  std::vector<std::unique_ptr<LtCall>> calls(const LtProblem& problem);
  /// The algorithm of that name; null when there is none such.
  std::unique_ptr<LtCall> call(const LtProblem& problem, std::string_view name);

 private:
  std::shared_ptr<LtHandle> handle();
  std::shared_ptr<const LtCall> choose(const LtProblem& problem, const std::string& text);

  std::shared_ptr<CudaDevice> device_;
  Tune tune_;
  std::shared_ptr<KernelChoices> choices_;
  KnownCalls<LtCall> known_;
  std::mutex handle_mutex_;
  std::shared_ptr<LtHandle> handle_;
};

}  // namespace ingot::cuda
