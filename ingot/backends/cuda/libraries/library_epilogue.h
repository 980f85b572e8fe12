// What vendors' libraries can do with a result before they store it.
#pragma once

#include <optional>
#include <span>

#include "ingot/ir/graph.h"

namespace ingot::cuda {

/// A bias along one axis, then a ReLU; either may be missing.
struct LibraryEpilogue {
  int bias = -1;  ///< which operand of the Node it is; -1: none
  bool relu = false;
};

/// What `node`, a Region or a Node alone, does with the result of its producer, if a library can: a
/// bias of one number for each place along `axis`, packed, and a ReLU after it. Nothing where the
/// Region does more, or gives more than one result.
std::optional<LibraryEpilogue> library_epilogue(const Node& node, const Node& producer, int axis);

/// Whether a library can do what `consumer` does after `producer` and the rest of `region`; see
/// library_epilogue().
bool joins_library(std::span<const Node* const> region, const Node& producer, const Node& consumer,
                   int axis);

/// The product or convolution that the Node is, or that its Region begins with; null: none.
const Node* contraction_of(const Node& node);
/// Which of the Node's operands its producer's operand is; -1: it is made inside.
int operand_of(const Node& node, const Node& producer, int operand);

}  // namespace ingot::cuda
