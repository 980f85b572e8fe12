// Stages that a block runs at once.
#pragma once

#include <vector>

#include "ingot/backends/cuda/step/schedule.h"
#include "ingot/runtime/program.h"

namespace ingot::cuda {

/// A stage among those of its level: where its threads and its shared memory begin.
struct LevelStage {
  const PlacedStage* placed = nullptr;
  int first_warp = -1;  ///< -1: all warps run it
  int shared_offset = 0;
};

/// Independent stages: first those that take all warps, one after the other, then the others,
/// side by side.
struct Level {
  std::vector<LevelStage> stages;
  int shared_bytes = 0;
};

/// Of stages that one block runs in this order, each in the first level that what it depends on
/// allows.
std::vector<Level> levels_of(const Program& program, const std::vector<PlacedStage>& stages);

}  // namespace ingot::cuda
