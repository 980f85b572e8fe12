// A vendor's library against Ingot's own kernel for one product or convolution.
#pragma once

#include <memory>
#include <string>

#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/backends/cuda/libraries/library_kernel.h"
#include "ingot/base/function_ref.h"
#include "ingot/runtime/kernel_choices.h"

namespace ingot::cuda {

/// Everything about a Node, and the body of a Region, that a choice of a kernel depends on.
std::string problem_text(const Node& node);

class KernelRace {
 public:
  KernelRace(std::shared_ptr<CudaDevice> device, Tune tune, std::shared_ptr<KernelChoices> choices)
      : device_(std::move(device)), tune_(tune), choices_(std::move(choices)) {}

  /// Whether the library's kernel is to run the Node rather than Ingot's own: as it was chosen
  /// before, else as the two take time one after the other, each alone on the device with a cold
  /// cache. `version` names the library; `make_own` gives the other kernel, or null, when it is
  /// needed. Both have slots 0, 1, ... for the Node's operands, then its results. Errors: what the
  /// library or the device said.
  [[nodiscard]] bool library_wins(const LibraryKernel& library, const std::string& version,
                                  FunctionRef<std::unique_ptr<CudaKernel>()> make_own) const;

 private:
  std::shared_ptr<CudaDevice> device_;
  Tune tune_;
  std::shared_ptr<KernelChoices> choices_;
};

/// Operands, then results, in slots 0, 1, ...: the problem as KernelRace asks for it.
KernelProblem race_problem(const Node& node);

}  // namespace ingot::cuda
