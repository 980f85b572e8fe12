// The bodies of composites: as a Graph of their own, or inlined.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ingot/ir/graph.h"

namespace ingot {

/// The composite's body as a fresh Graph: one argument an operand, one fetch an output (named as
/// the record names it; a variadic output's have their index appended). An internal Error when the
/// body disagrees with the composite's inferred types.
std::unique_ptr<Graph> build_body(const Node& composite);

/// Adds the Nodes of the composite's body to `into`, applied to `inputs`, and returns the results.
/// They have the composite's origin and names "composite's name.name".
std::vector<Value> inline_body(Graph& into, const Node& composite, std::span<const Value> inputs);

/// The same for any body Graph (a Region's): `name` prefixes the Nodes' names.
std::vector<Value> inline_graph(Graph& into, const Graph& body, std::span<const Value> inputs,
                                const Origin& origin, std::string_view name);

/// The attributes of a Node as a list to build another from.
AttrList attr_list(const Node& node);

/// Floating-point operations of a Node; a Region's are its body's.
double total_flops(const Node& node);

}  // namespace ingot
