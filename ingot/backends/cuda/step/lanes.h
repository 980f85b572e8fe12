// Which nodes of a step's graph may run at once.
#pragma once

#include <span>
#include <vector>

#include "ingot/backends/cuda/step/step_source.h"

namespace ingot::cuda {

/// Where a kernel runs. It comes after the kernels before it in its lane and after `waits`.
struct LaneNode {
  int lane = 0;
  std::vector<int> waits;  ///< of other lanes
  bool awaited = false;    ///< another lane waits for it
};

/// Kernels in program order on at most `lanes` lanes: lane 0 has those that the end of the step
/// waits for longest, the others what has time, such as gradients of weights.
std::vector<LaneNode> assign_lanes(std::span<const KernelText> kernels, int lanes);

/// For each kernel the earlier ones that must be done before it: they touch the same memory, and
/// one of the two writes. Those that another of them implies may be left out.
std::vector<std::vector<int>> dependencies(std::span<const KernelText> kernels);

}  // namespace ingot::cuda
