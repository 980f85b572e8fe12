// What a block keeps in shared memory while it works on an item of the batch.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "ingot/backends/cuda/step/schedule.h"
#include "ingot/backends/cuda/step/step_text.h"

namespace ingot::cuda {

/// A copy from global memory into shared memory.
struct LocalCopy {
  int root = -1;
  std::int64_t bytes = 0;
  /// Whether it may begin before the phase in front is done: that one has no items' memory of its
  /// own, and neither it nor what every block runs first changes the slot.
  bool early = false;
};

/// Of one phase's item stages. What they alone touch lives in shared memory; what they only read is
/// copied there first, all of it at once rather than each stage waiting for its own.
struct PhaseLocals {
  LocalPlaces places;
  LocalPlaces every;                ///< what stages that every block runs store, for all stages
  std::vector<LocalCopy> once;      ///< read in full by every item
  std::vector<LocalCopy> per_item;  ///< the item's part
  std::int64_t bytes = 0;
};

/// Of every phase.
std::vector<PhaseLocals> local_slots(const Program& program, const Schedule& schedule);

}  // namespace ingot::cuda
