// Chains of ops that move the elements of one operand, with the elementwise ops before, between and
// after them: one kernel gathers.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ingot/ir/op_def.h"

namespace ingot::cuda {

/// Where an element of a moving op's result comes from.
struct Moved {
  std::vector<std::string> coordinates;  ///< in the operand
  std::string inside = {};  ///< condition for coordinates to be in the operand; empty: always
  std::string fill = {};    ///< the element otherwise
};
/// Of the element at these coordinates, texts of non-negative integers.
using MoveSource = Moved (*)(const Node& node, std::span<const std::string> at);
/// Null when the op does not move the elements of a single operand.
MoveSource move_source(const OpDef& op);

/// Whether the Nodes are such a chain: some Node moves elements in memory, and there is more to do
/// than that and elementwise ops behind it.
bool is_move_chain(std::span<const Node* const> nodes);
/// The same of a Region's body.
bool is_move_chain(const Node& region);
/// Whether its largest operand or, when that is as large, its result may lie so.
bool takes_chain_layout(const Node& chain, const Layout& layout);

}  // namespace ingot::cuda
