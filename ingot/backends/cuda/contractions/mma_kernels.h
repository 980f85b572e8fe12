// Tensor-core kernels for those who time them, also in forms other than the expected best.
#pragma once

#include <memory>
#include <vector>

#include "ingot/backends/cuda/contractions/mma_form.h"
#include "ingot/backends/cuda/kernels/cuda_kernel.h"

namespace ingot::cuda {

/// Best expected first; empty when the Node is none for tensor cores.
std::vector<MmaChoice> mma_choices_of(const Node& node, int multiprocessors);
std::unique_ptr<CudaKernel> make_mma_kernel(const KernelProblem& problem, const MmaChoice& choice);
/// Whether such a kernel of Ingot's own can run the Node; see make_own_contraction().
Support supports_own_contraction(const Node& node);
/// What runs a product or convolution, alone or with an epilogue, where no library does: tensor
/// cores or tiles. Null where neither can.
std::unique_ptr<CudaKernel> make_own_contraction(const KernelProblem& problem);

}  // namespace ingot::cuda
