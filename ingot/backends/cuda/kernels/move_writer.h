// C++ text for elements of Values that ops move: at a move the place changes, and what is behind it
// is written there. Where a move's place comes from an operand, that is read ahead of the element.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingot/backends/cuda/kernels/element.h"
#include "ingot/backends/cuda/kernels/move_chain.h"

namespace ingot::cuda {

/// Text that comes before an element's own.
struct Ahead {
  /// Behind names that are declared apart from their code: "[q]" where `code` runs for each row q.
  std::string subscript = {};
  std::string dimension = {};  ///< of their declarations: "[4]"
  std::string declarations = {};
  std::string code = {};
  std::map<std::string, std::string> known = {};  ///< names of what was read, by its text
};

/// Names of coordinates that differ between the elements of a vector begin so; what is read from
/// such is named so, too.
inline constexpr std::string_view kLane = "lane_";

class MoveWriter final : public PlaceReader {
 public:
  /// What does not differ between a vector's elements goes to `rows`, other places to `elements`.
  MoveWriter(std::string& code, const Region& region, Ahead& elements, Ahead& rows)
      : code_(&code), region_(region), elements_(elements), rows_(rows) {}
  /// Without vectors.
  MoveWriter(std::string& code, const Region& region, Ahead& ahead)
      : MoveWriter(code, region, ahead, ahead) {}

  std::string value(const Value& value, const Place& place);
  std::string index(const Node& node, std::size_t operand, Coordinates at) override;
  std::string checked_index(const Node& node, std::size_t operand, Coordinates at,
                            std::int64_t size, std::string_view rule) override;

 private:
  /// A condition for coordinates to be in what a move moves.
  struct Guard {
    std::string inside;
    int untouched;  ///< leading axes of which it says nothing
  };

  void bind_moves(const Value& value, ElementWriter& writer, std::set<int>& bound);
  std::string guard_of(int axes) const;

  std::string* code_;
  const Region& region_;
  Ahead& elements_;
  Ahead& rows_;
  std::vector<Guard> guards_;
};

/// `to = ...;` of an element without vectors.
std::string write_moved(const Region& region, const Value& value, const Place& place,
                        const std::string& to);

/// `latch(...)` of the Node's rule, broken by `value`, element number `index` of the operand.
std::string latch_text(const Region& region, const Node& node, std::string_view rule,
                       const std::string& value, const std::string& index);

}  // namespace ingot::cuda
