// A vendor's convolutions: which plan runs a problem, and running it.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <memory>
#include <string>

#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/backends/cuda/libraries/library_conv.h"
#include "ingot/backends/cuda/libraries/plan_choice.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {

/// Memory of a convolution's tensors; bias and addend where the problem has them. The addend may
/// lie where the result will only if ConvCall::in_place().
struct ConvMemory {
  const std::byte* x = nullptr;
  const std::byte* w = nullptr;
  const std::byte* y = nullptr;
  const std::byte* bias = nullptr;
  const std::byte* addend = nullptr;
};

/// The chosen way to run one problem.
class ConvCall : public PlannedCall {
 public:
  /// Puts the work on the stream, which may be captured. Thread safe.
  virtual void enqueue(CUstream stream, const ConvMemory& memory, std::byte* workspace) const = 0;
  /// Whether the addend may lie where the result will, and is then not moved.
  [[nodiscard]] virtual bool in_place() const noexcept { return false; }
};

class ConvLibrary {
 public:
  ConvLibrary() = default;
  virtual ~ConvLibrary() = default;
  ConvLibrary(const ConvLibrary&) = delete;
  ConvLibrary& operator=(const ConvLibrary&) = delete;

  /// The same for equal problems; null when the library cannot run it, and `why` says it. Thread
  /// safe.
  virtual std::shared_ptr<const ConvCall> find(const ConvProblem& problem, std::string& why) = 0;
  /// Its name and version: what was timed with another one says nothing of it.
  [[nodiscard]] virtual std::string version() const = 0;
};

class LtCall;
/// The convolution that a product of matrices computes; null for null.
std::unique_ptr<ConvCall> as_convolution(std::unique_ptr<LtCall> call, ConvKind kind);

class ProductLibrary;

/// cuDNN for the device, with plans by its heuristics or, tuned, by timing, `products` among them;
/// null, and `why`, where there is none.
std::shared_ptr<ConvLibrary> make_cudnn_library(std::shared_ptr<CudaDevice> device, Tune tune,
                                                std::shared_ptr<KernelChoices> choices,
                                                std::shared_ptr<ProductLibrary> products,
                                                std::string& why);

}  // namespace ingot::cuda
