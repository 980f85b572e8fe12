// How passes move Nodes into the body of a Region.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <tuple>
#include <vector>

#include "ingot/ir/graph.h"

namespace ingot {

/// A body under construction. Values from outside become arguments, in order of their first use;
/// constants of one element go into the body.
class BodyBuilder {
 public:
  BodyBuilder() : body_(std::make_unique<Graph>()) {}

  /// A copy of the Node. `axes`: the batch axis of each operand, where the Region has one; a Value
  /// from outside that is read along two axes is two operands.
  void add(const Node& node, std::span<const int> axes = {});
  /// A Node with the same op and attributes on some of the Node's operands, and some of its
  /// results: a part of an op with any number of both.
  void add_part(const Node& node, std::span<const std::size_t> inputs,
                std::span<const int> outputs);
  /// Makes a Value of a Node that was added a result.
  void fetch(const Value& value);

  [[nodiscard]] const std::vector<Value>& operands() const noexcept { return operands_; }
  [[nodiscard]] const std::vector<int>& operand_axes() const noexcept { return operand_axes_; }
  [[nodiscard]] const Graph& graph() const noexcept { return *body_; }
  std::unique_ptr<Graph> take() { return std::move(body_); }

 private:
  Value map(const Value& value, int axis);
  Value& inner(const Value& value, int axis) {
    return values_[{value.node()->id(), value.index(), axis}];
  }

  static constexpr int kInside = -2;  // in place of an axis: made in the body

  std::unique_ptr<Graph> body_;
  std::vector<Value> operands_;
  std::vector<int> operand_axes_;
  std::map<std::tuple<int, int, int>, Value> values_;
};

}  // namespace ingot
