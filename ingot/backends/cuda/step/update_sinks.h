// Updates of variables done by the stages that store the gradients.
#pragma once

#include <functional>
#include <vector>

#include "ingot/backends/cuda/step/schedule.h"
#include "ingot/runtime/program.h"

namespace ingot::cuda {

/// Gives what it can of a commit launch's updates to the stages that store the updates' elements,
/// which move to the launch's place in `stages`; `recut` gives the launch's stages without some
/// updates. Returns the updates that PlacedStage::updates are positions in.
std::vector<Update> sink_updates(
    const Program& program, std::vector<PlacedStage>& stages,
    const std::function<std::vector<Stage>(const Launch&, const std::vector<int>& updated)>& recut);

/// Whether the stage stores to the slot by store_text().
bool stores(const Program& program, const Stage& stage, int root);

}  // namespace ingot::cuda
