// Ingot's own matrix products.
#pragma once

#include "ingot/runtime/kernel_table.h"

namespace ingot::cpu {

/// For matmul; f32 and f64, plain layouts.
KernelCandidate direct_matmul_candidate();
/// The same, from copies of the operands in the order in which they are read.
KernelCandidate panels_matmul_candidate();

}  // namespace ingot::cpu
