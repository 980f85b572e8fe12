// A convolution or elementwise chain with the pooling behind it: one kernel.
#pragma once

#include "ingot/ir/target.h"
#include "ingot/runtime/kernel_table.h"

namespace ingot::cpu {

/// Whether a pool may run in the loop of the Node, or fused Region, that makes what it reads; the
/// candidate below has the last word.
Support can_join_pool(const Node& producer);

/// For a fused Region of the two: the producer's kernel runs slice by slice, or row by row, and
/// what it has made is pooled while it is in the cache. What only the pool reads is never whole in
/// memory.
KernelCandidate pooled_candidate();

}  // namespace ingot::cpu
