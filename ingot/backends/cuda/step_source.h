// The text of a step's kernels, and what their parameters stand for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ingot/backends/cuda/schedule.h"
#include "ingot/runtime/program.h"

namespace ingot::cuda {

/// One pointer among a kernel's parameters: a slot's memory, or a place in the scratch arena.
struct Pointer {
  int slot = -1;  ///< a root; -1: the arena at `offset`
  std::int64_t offset = 0;
  friend bool operator==(const Pointer&, const Pointer&) = default;
};

/// A kernel of the module. Its parameters are, eight bytes each: the pointers, one stride a feed,
/// then control, ring, capacity and steps.
struct KernelText {
  std::string name;
  std::vector<std::string> what;  ///< stages, for reports
  std::vector<Pointer> pointers;
  std::int64_t blocks = 1;  ///< wanted; a cooperative kernel gets at most what fits at once
  int shared_bytes = 0;
  bool cooperative = false;
};

struct StepSource {
  std::string text;
  std::vector<KernelText> kernels;  ///< in order; equal ones share a name
  double cycles = 0;
};

/// One cooperative kernel for any number of steps; the blocks wait for one another between phases.
StepSource one_kernel_source(const Program& program, const Schedule& schedule, bool check_numerics);
/// One kernel a stage.
StepSource kernels_source(const Program& program, const std::vector<PlacedStage>& stages,
                          bool check_numerics);
/// The one that is expected to be faster.
StepSource step_source(const Program& program, const GpuFacts& gpu, bool check_numerics);

}  // namespace ingot::cuda
