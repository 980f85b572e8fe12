// How many blocks each of the stages of a phase should be cut for.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "ingot/backends/cuda/step/schedule.h"
#include "ingot/runtime/program.h"

namespace ingot::cuda {

/// Processors to cut a launch for, by its Node's id; for those not named, all.
using GridShares = std::unordered_map<int, int>;

/// Where a phase has more units than the GPU has multiprocessors, some blocks do one after another.
/// Gives each launch such a share that all units run at once and the longest takes the least;
/// nothing where no cuts do. `cut` gives a Node's stages for so many multiprocessors.
GridShares grid_shares(const Program& program, const GpuFacts& gpu,
                       const std::vector<Phase>& phases,
                       const std::function<std::vector<Stage>(int node, int processors)>& cut);

}  // namespace ingot::cuda
