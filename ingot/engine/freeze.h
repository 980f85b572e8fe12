// Graphs whose variables have become constants.
#pragma once

#include <memory>

#include "ingot/ir/graph.h"
#include "ingot/runtime/variable_store.h"

namespace ingot {

/// A copy of the Graph in which every variable that the Graph does not assign is a constant, with
/// the store's value of now. The compiler then folds what the weights decide: a batch norm's
/// running statistics go into the convolution before it. The snapshot stays as it is when the
/// variables train on; freeze again to follow them. Errors: a variable that is not in the store.
std::unique_ptr<Graph> freeze(const Graph& graph, const VariableStore& store);

}  // namespace ingot
