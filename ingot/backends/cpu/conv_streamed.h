// Ingot's own forward convolution of one image with few pixels and many weights.
#pragma once

#include "ingot/runtime/kernel_table.h"

namespace ingot::cpu {

/// For conv2d with activations in blocks of channels ("aBcd16b") and weights in blocks of both
/// ("ABcd16b16a"); f32. Each weight is read from memory once, in order, and used for all pixels,
/// where others read the weights again for each row of the result.
KernelCandidate streamed_conv_candidate();

}  // namespace ingot::cpu
