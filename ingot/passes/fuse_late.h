// What the fuse pass does when its units are complete: Values computed again rather than read, and
// small units side by side.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ingot/base/function_ref.h"
#include "ingot/passes/fuse_units.h"
#include "ingot/passes/pass.h"

namespace ingot {

inline constexpr std::size_t kMaxUnitMembers = 64;
// Limits of what a unit computes again rather than reads.
inline constexpr std::size_t kMaxPrologue = 16;
inline constexpr double kMaxPrologueFlops = 32;

/// Nodes that a unit computes again, ascending, and what they read.
struct UnitClosure {
  std::vector<int> copies;
  std::vector<Value> leaves;
};

double flops_per_element(const Node& node);
/// A Value of one channel each, which broadcasts to images, in a step bound by throughput.
bool is_per_channel(const Node& node, const PassContext& context);

/// Whether the target lets a Node join a region.
using AcceptJoin = FunctionRef<bool(std::span<const int> region, int joining)>;

/// The rules 6 and 8 to 10 of fuse.cpp.
void recompute_and_join(const Graph& graph, PassContext& context, FusionUnits& units,
                        AcceptJoin accept);

}  // namespace ingot
