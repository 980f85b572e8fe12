// Ingot's own weight gradient on channel-blocked layouts.
#pragma once

#include "ingot/runtime/kernel_table.h"

namespace ingot::cpu {

/// For conv2d_weight_grad with activations in blocks of channels ("aBcd16b") and weights in blocks
/// of both ("ABcd16b16a"); f32.
KernelCandidate blocked_weight_grad_candidate();

}  // namespace ingot::cpu
