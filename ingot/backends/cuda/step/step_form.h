// Whether a step is worth one kernel, or kernels that each fill the device.
#pragma once

#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/ir/target.h"

namespace ingot::cuda {

/// From what the records say the Graph costs: a step that would keep one kernel busy for longer
/// than its barriers and launches matter is bound by throughput.
StepForm choose_form(const Graph& graph, const GpuFacts& gpu);

}  // namespace ingot::cuda
