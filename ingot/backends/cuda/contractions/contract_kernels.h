// Products and convolutions by tiles of scalar products: any layout-free problem in any mode.
#pragma once

#include <memory>

#include "ingot/backends/cuda/kernels/cuda_kernel.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {

Support supports_tiles(const Node& node);
std::unique_ptr<CudaKernel> make_tiles(const KernelProblem& problem);

/// Appends a candidate for every product and convolution, alone and with an epilogue.
void register_for_contractions(KernelTable& table, const KernelCandidate& candidate);

}  // namespace ingot::cuda
