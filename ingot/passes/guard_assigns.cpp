#include "ingot/passes/guard_assigns.h"

#include <algorithm>
#include <vector>

#include "ingot/ir/core_ops.h"
#include "ingot/passes/rewriter.h"

namespace ingot {

std::unique_ptr<Graph> guard_assigns(const Graph& graph, Value predicate,
                                     std::span<const VariableRole> roles) {
  const auto is_guarded = [&](const Node& node) {
    return &node.op() == &assign_op() && node.inputs().size() == 2 &&
           std::ranges::find(roles, role_of(*node.input(0).node())) != roles.end();
  };
  Rewriter rewriter(graph);
  std::vector<const Node*> guarded;
  for (const auto& node : graph.nodes()) {
    if (is_guarded(*node)) {
      guarded.push_back(node.get());
    } else if (!rewriter.done(*node)) {
      rewriter.clone(*node);
    }
  }
  // After what decides.
  for (const Node* node : guarded) {
    std::vector<Value> inputs = rewriter.map_inputs(*node);
    inputs.push_back(rewriter.map(predicate));
    rewriter.clone(*node, std::move(inputs));
  }
  return rewriter.finish();
}

}  // namespace ingot
