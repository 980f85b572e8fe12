// Kernels that are wrong on purpose; see base/planted_bug.h.
#pragma once

#include <memory>

#include "ingot/runtime/kernel.h"

namespace ingot {

/// The kernel itself, except in builds with INGOT_PLANTED_BUGS: there, for a convolution or product
/// that runs itself, one that behaves as planted_bug() says at each run. Kernels of
/// Regions, and those that a device runs by itself, stay what their backend knows.
std::unique_ptr<Kernel> with_planted_bugs(std::unique_ptr<Kernel> kernel,
                                          const KernelProblem& problem);

}  // namespace ingot
