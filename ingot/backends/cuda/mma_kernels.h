// Tensor-core kernels in forms other than the expected best, for those who time them.
#pragma once

#include <memory>
#include <vector>

#include "ingot/backends/cuda/cuda_kernel.h"
#include "ingot/backends/cuda/mma_form.h"

namespace ingot::cuda {

/// Best expected first; empty when the Node is none for tensor cores.
std::vector<MmaChoice> mma_choices_of(const Node& node, int multiprocessors);
std::unique_ptr<CudaKernel> make_mma_kernel(const KernelProblem& problem, const MmaChoice& choice);

}  // namespace ingot::cuda
