// Which stages run between two barriers of the grid.
#pragma once

#include <vector>

#include "ingot/backends/cuda/step/schedule.h"
#include "ingot/runtime/program.h"

namespace ingot::cuda {

/// Why two stages may not run at once: the memory they meet in, all of it item by item or not.
struct Conflict {
  bool any = false;
  bool by_item = true;
  bool handed_on = true;  ///< the later stage reads what the earlier one writes, and nothing else
};
Conflict conflict_of(const Program& program, const PlacedStage& earlier, const PlacedStage& later);

/// Puts stages into phases, each as early as what it depends on allows.
std::vector<Phase> phases_of(const Program& program, std::vector<PlacedStage> stages);

}  // namespace ingot::cuda
