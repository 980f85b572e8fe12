// Stages that every step has besides its kernels: copies, and the end of the step.
#pragma once

#include <span>
#include <vector>

#include "ingot/backends/cuda/step/schedule.h"

namespace ingot::cuda {

/// A copy between slots of one size, if the predicate (when there is one) holds.
Stage copy_stage(const Program& program, const SlotCopy& copy, bool commit);
/// The copies in order, those that may run at one time together as far as they are neighbours.
std::vector<Stage> copy_stages(const Program& program, std::span<const SlotCopy> copies,
                               bool commit);
/// Writes the scalar fetches to the ring and counts the step; after a failure notes that instead.
Stage finish_stage(const Program& program);
/// `bool` expression: nothing failed so far.
std::string sound_so_far();
/// What to append to it: that the scalar fetches which the main launches wrote are finite.
std::string finite_fetches(const Program& program);
/// `bool` expression: nothing failed so far and, when that is checked, the scalar fetches that the
/// main launches wrote are finite.
std::string may_commit(const Program& program, bool check_numerics);

}  // namespace ingot::cuda
