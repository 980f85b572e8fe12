// Ingot's own weight gradients on channel-blocked layouts.
#pragma once

#include "ingot/runtime/kernel_table.h"

namespace ingot::cpu {

/// For conv2d_weight_grad with activations in blocks of channels ("aBcd16b") and weights in blocks
/// of both ("ABcd16b16a"); f32.
KernelCandidate blocked_weight_grad_candidate();
/// The same for 1x1 kernels of stride 1 without padding, where that is faster than oneDNN's.
KernelCandidate pointwise_weight_grad_candidate();
/// Wherever it can be, for tuning.
KernelCandidate any_pointwise_weight_grad_candidate();

/// Whether a conv2d_weight_grad has what both need: f32, full blocks, and vectors as long as these.
Support has_weight_grad_blocks(const Node& node);

}  // namespace ingot::cpu
