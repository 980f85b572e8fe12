// What stages and phases of a step of one kernel are expected to take.
#pragma once

#include <cstdint>
#include <vector>

#include "ingot/backends/cuda/step/schedule.h"

namespace ingot::cuda {

/// What one multiprocessor does in a cycle with generated code: multiplications and additions
/// counted apart, bytes from L2.
inline constexpr double kFlopsPerCycle = 2 * 128 * 0.35;
inline constexpr double kBytesPerCycle = 32;

/// What a step costs apart from its work, in cycles; measured, see docs/benchmarks/cuda.md.
struct LatencyFacts {
  double barrier = 1900;
  double stage = 700;  ///< from the first load to a stored result
};

/// Cycles that a stage takes on `blocks` blocks.
double stage_cycles(const Program& program, const Stage& stage, std::int64_t items, int blocks);
/// Until the results are there, for who waits for them with all blocks.
double cycles_over_grid(const Program& program, const std::vector<Stage>& stages, int blocks);
/// What an item's block spends: sums over the batch are added up later, aside.
double cycles_by_item(const Program& program, const std::vector<Stage>& stages, std::int64_t items,
                      int blocks);
/// Until the last of `blocks` blocks is through, and the barrier.
double phase_cycles(const Program& program, const Phase& phase, std::int64_t items, int blocks);

}  // namespace ingot::cuda
