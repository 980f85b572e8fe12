// Chains of ops that move the elements of one operand, with the elementwise ops before, between and
// after them: one kernel gathers. Places may come from operands, such as indices.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/ir/op_def.h"

namespace ingot::cuda {

/// Texts of non-negative integers.
using Coordinates = std::span<const std::string>;

/// Gives a move what its operands say of places.
class PlaceReader {
 public:
  PlaceReader() = default;
  PlaceReader(const PlaceReader&) = delete;
  PlaceReader& operator=(const PlaceReader&) = delete;
  virtual ~PlaceReader() = default;
  /// Text of the integer that the operand has there.
  virtual std::string index(const Node& node, std::size_t operand, Coordinates at) = 0;
  /// The same as one of [0, size); any other breaks the op's rule.
  virtual std::string checked_index(const Node& node, std::size_t operand, Coordinates at,
                                    std::int64_t size, std::string_view rule) = 0;
};

/// Where an element of a moving op's result comes from.
struct Moved {
  std::vector<std::string> coordinates;  ///< in the operand
  std::string inside = {};  ///< condition for coordinates to be in the operand; empty: always
  std::string fill = {};    ///< the element otherwise
  int untouched = 0;        ///< leading axes that the operand shares
};
/// Of the element at these coordinates.
using MoveSource = Moved (*)(const Node& node, Coordinates at, PlaceReader& places);

/// How an op moves the elements of its first operand.
struct Mover {
  const OpDef* op;
  MoveSource source;
  /// The operand's leading axes along which something is read at every place.
  int (*kept)(const Node& node);
  /// The result's leading axes that the places which operands give depend on; null: none do.
  int (*placed)(const Node& node) = nullptr;
  bool checked = false;  ///< whether operands can break a rule
};
/// Null when the op moves no elements.
const Mover* mover_of(const OpDef& op);

/// Whether the Nodes are such a chain: some Node moves elements in memory, and there is more to do
/// than that and elementwise ops behind it.
bool is_move_chain(std::span<const Node* const> nodes);
/// The same of a Region's body.
bool is_move_chain(const Node& region);
/// Whether operands say where some of its elements come from.
bool is_placed(const Node& chain);
/// Whether its largest operand or, when that is as large, its result may lie so; of a placed chain,
/// the result.
bool takes_chain_layout(const Node& chain, const Layout& layout);

}  // namespace ingot::cuda
