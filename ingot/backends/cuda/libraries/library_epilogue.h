// What vendors' libraries can do with a result before they store it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "ingot/ir/graph.h"

namespace ingot::cuda {

/// A bias along one axis and a tensor of the result's type are added, then a ReLU; each may be
/// missing.
struct LibraryEpilogue {
  int bias = -1;    ///< which operand of the Node it is; -1: none
  int addend = -1;  ///< likewise
  bool relu = false;
};

/// What `node`, a Region or a Node alone, does with the result of its producer, if a library can: a
/// bias of one number for each place along `axis`, packed, another tensor of the result's type, and
/// a ReLU after them. Nothing where the Region does more, or gives more than one result.
std::optional<LibraryEpilogue> library_epilogue(const Node& node, const Node& producer, int axis);

/// As what a library can do the work of a Node.
enum class LibraryJoin : std::uint8_t { none, bias, addend, relu };
/// Of `consumer`, after `producer` and the rest of `region`; see library_epilogue().
LibraryJoin joins_library(std::span<const Node* const> region, const Node& producer,
                          const Node& consumer, int axis);

/// The product or convolution that the Node is, or that its Region begins with; null: none.
const Node* contraction_of(const Node& node);
/// Which of the Node's operands its producer's operand is; -1: it is made inside.
int operand_of(const Node& node, const Node& producer, int operand);

}  // namespace ingot::cuda
