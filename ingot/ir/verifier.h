// The invariants of a Graph, checked after every pass.
#pragma once

#include <string_view>

#include "ingot/ir/graph.h"

namespace ingot {

/// Throws an internal Error that names the pass that ran (`pass "fuse": relu "r": ...`) unless:
/// Nodes are in topological order, dense ids, unique names, this Graph's; operands exist above;
/// attributes are complete and of their kinds; inference gives the stored types; layouts fit their
/// ranks; assigns target variables, one each; a body is pure, its arguments are the Region's
/// operands and its fetches the outputs; fetches are this Graph's and uniquely named.
void verify(const Graph& graph, std::string_view pass);

}  // namespace ingot
