// Ingot's own depthwise convolutions.
#pragma once

#include <cstdint>
#include <memory>

#include "ingot/backends/cpu/conv_problem.h"
#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/runtime/kernel_table.h"

namespace ingot::cpu {

/// For conv2d and its gradients of as many groups as channels, f32: activations and weights in
/// blocks of channels ("aBcd16b", "Abcd16a"), or, but for the weight gradient, plain.
KernelCandidate depthwise_conv_candidate();

/// Channels per block of all three Values; 0 when they lie in other layouts.
std::int64_t depthwise_block(const ConvValues& values);
/// conv2d or conv2d_input_grad.
std::unique_ptr<Kernel> make_depthwise_correlate(const KernelProblem& problem,
                                                 const CpuBackend& backend);

}  // namespace ingot::cpu
