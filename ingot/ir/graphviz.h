// Graphs as pictures.
#pragma once

#include <string>

#include "ingot/ir/graph.h"

namespace ingot {

/// The Graph in Graphviz' DOT language: a box a Node with its op, name and types, an arrow a Value;
/// a Region is a cluster with its body inside. `dot -Tsvg` draws it.
std::string to_dot(const Graph& graph);

}  // namespace ingot
