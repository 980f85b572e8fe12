// Ingot's own weight gradient of depthwise convolutions on channel-blocked layouts.
#pragma once

#include "ingot/runtime/kernel_table.h"

namespace ingot::cpu {

/// For conv2d_weight_grad of as many groups as channels, with activations and weights in blocks of
/// channels ("aBcd16b", "Abcd16a"); f32.
KernelCandidate depthwise_weight_grad_candidate();

}  // namespace ingot::cpu
