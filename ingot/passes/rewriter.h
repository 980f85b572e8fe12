// How every pass builds its new Graph from the old one.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ingot/ir/graph.h"

namespace ingot {

/// Maps the Values of a source Graph to Values of a new one. Placeholders and variables are cloned
/// at once, under their names; a pass then visits the other Nodes in an order in which operands
/// come first, clones or replaces each, and takes the result.
class Rewriter {
 public:
  explicit Rewriter(const Graph& source);

  [[nodiscard]] const Graph& source() const noexcept { return source_; }
  /// The Graph being built.
  [[nodiscard]] Graph& graph() noexcept { return *graph_; }

  /// Whether the Node has a counterpart already (placeholders and variables do from the start).
  [[nodiscard]] bool done(const Node& node) const;
  /// The new Value for one of the source's. An internal Error when it was not made yet.
  [[nodiscard]] Value map(const Value& old) const;
  [[nodiscard]] std::vector<Value> map_inputs(const Node& old) const;
  void replace(const Value& old, Value now);
  /// Replaces the Node's outputs by those of `now`, one by one.
  void replace(const Node& old, Node& now);
  /// A copy of the Node on the mapped (or the given) operands.
  Node* clone(const Node& old);
  Node* clone(const Node& old, std::vector<Value> inputs, AttrList changed = {});

  /// Copies the fetches and gives the Graph away.
  std::unique_ptr<Graph> finish();

 private:
  [[nodiscard]] Value& slot(const Value& old);

  const Graph& source_;
  std::unique_ptr<Graph> graph_;
  std::vector<std::size_t> first_slot_;  // of each source Node
  std::vector<Value> values_;
};

/// A new Graph made by visiting each Node that has no counterpart, in order.
template <typename Visit>
std::unique_ptr<Graph> rewrite(const Graph& source, Visit&& visit) {
  Rewriter rewriter(source);
  for (const auto& node : source.nodes()) {
    if (!rewriter.done(*node)) visit(rewriter, *node);
  }
  return rewriter.finish();
}

/// The Values that each Value's Node feeds: consumers[node id] lists (consumer, operand) pairs of
/// all its outputs, in order.
struct Use {
  Node* node;
  int operand;
};
std::vector<std::vector<Use>> find_uses(const Graph& graph);

}  // namespace ingot
