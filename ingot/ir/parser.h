// Graphs from the text that printer.h writes.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "ingot/ir/graph.h"

namespace ingot {

/// The Graph that print_graph wrote, or a person; `#` begins a comment, attributes with a default
/// may be left out, and so may the types behind `->` (where they stand they must be the inferred
/// ones; a Region's and layouts need them). `ops` are the ops that the text may name:
/// `parse_graph(text, all_ops())`.
///
/// Errors (user, invalid_graph) begin with the place: `graph text 3:17: ...` (line:column, from 1).
/// Errors of the ops' own rules are as for Graph::add, with a `note:` that gives the place.
std::unique_ptr<Graph> parse_graph(std::string_view text, std::span<const OpDef* const> ops);

/// The text of one attribute value of the given kind; the whole of `text` must be it.
AttrValue parse_attr(std::string_view text, AttrKind kind);

}  // namespace ingot
