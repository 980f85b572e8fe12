// The stages of a step, their order, and where blocks have to wait for one another.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/backends/cuda/kernels/stage.h"
#include "ingot/runtime/program.h"

namespace ingot::cuda {

/// A stage with its memory: what its text's names stand for.
struct PlacedStage {
  Stage stage;
  int node = -1;                    ///< id in the lowered Graph
  std::int64_t scratch_offset = 0;  ///< of the workspace in the arena
  std::int64_t scratch_bytes = 0;
  std::int64_t ticket_offset = 0;  ///< among all stages' tickets
  bool last = false;               ///< ends the step: needs everything before it
  std::vector<int> updates = {};   ///< positions in Schedule::updates, of what it stores
  int lane = 0;                    ///< mode single: which of the phase's blocks runs it
};

/// Stages between two barriers of the grid.
struct Phase {
  std::vector<PlacedStage> every;   ///< first, in this order, by every block
  std::vector<PlacedStage> items;   ///< run item by item, one block an item, in this order
  std::vector<PlacedStage> grid;    ///< independent of one another
  std::vector<PlacedStage> single;  ///< those of one lane in this order
  int lanes = 0;
};

struct Schedule {
  std::int64_t items = 0;
  std::vector<Phase> phases;
  std::vector<Update> updates;  ///< done by the stages that store the elements
  double cycles = 0;            ///< expected, of one step
};

/// Every stage in program order, cut for all blocks: for one kernel a stage, or with `library` a
/// library's work where the table's choice is one.
std::vector<PlacedStage> sequence(const Program& program, const GpuFacts& gpu,
                                  bool library = false);
/// Those of the launches that make weights' copies current.
std::vector<PlacedStage> refresh_sequence(const Program& program, const GpuFacts& gpu);
/// The stages cut and ordered for one kernel a step.
Schedule schedule(const Program& program, const GpuFacts& gpu);

}  // namespace ingot::cuda
