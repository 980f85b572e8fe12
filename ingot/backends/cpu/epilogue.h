// Convolutions and products followed by elementwise Nodes: one kernel.
#pragma once

#include <span>

#include "ingot/ir/target.h"
#include "ingot/runtime/kernel_table.h"

namespace ingot::cpu {

/// Whether elementwise Nodes may follow the Node in one fused Region.
bool takes_epilogue(const Node& node) noexcept;
/// The Node of a fused Region's body that the others follow; null when there is none.
const Node* epilogue_producer(const Node& region) noexcept;
/// The one among the Nodes of a Region in the making, or null.
const Node* epilogue_producer(std::span<const Node* const> nodes) noexcept;

/// For a fused Region with a producer: the producer's kernel runs slice by slice, and the
/// elementwise program goes over each slice while it is in the cache.
KernelCandidate epilogue_candidate();

}  // namespace ingot::cpu
