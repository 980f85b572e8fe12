// Convolutions by oneDNN on slices of the batch.
#pragma once

#include "ingot/runtime/kernel_table.h"

namespace ingot::cpu {

/// For conv2d and its two gradients. Only with oneDNN.
KernelCandidate onednn_conv_candidate();

}  // namespace ingot::cpu
