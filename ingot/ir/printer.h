// Graphs as readable text that parser.h reads back.
#pragma once

#include <string>

#include "ingot/ir/graph.h"

namespace ingot {

/// The whole Graph, one Node a line:
///
///     graph {
///       %x = placeholder() {dtype=f32, shape=[2,3]} -> f32[2,3] at "train.cpp":12 "main"
///       %y = relu(%x) -> f32[2,3]@aB16b module "layer1.0"
///       %pair = fused(%x, %y) -> f32[2,3], f32[2,3] body {
///         ...
///       }
///       fetch "loss" = %pair:1
///     }
///
/// Attributes, layouts, origins, bodies, fetches and assigns are all there. Names outside
/// [A-Za-z0-9_./-] are quoted.
std::string print_graph(const Graph& graph);

/// One Node's line, without its body.
std::string print_node(const Node& node);

/// "%name", or "%name:1" for an output other than the first.
std::string print_value(const Value& value);

}  // namespace ingot
