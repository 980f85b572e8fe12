// Assigns that hold only where a condition does.
#pragma once

#include <memory>
#include <span>

#include "ingot/ir/graph.h"

namespace ingot {

/// A copy of the Graph in which every assign to a variable of one of the roles has the predicate
/// (bool[], a Value of the Graph). Those that have one of their own keep it. For a Graph whose
/// forward pass assigns before it is known whether the step is good.
std::unique_ptr<Graph> guard_assigns(const Graph& graph, Value predicate,
                                     std::span<const VariableRole> roles);

}  // namespace ingot
