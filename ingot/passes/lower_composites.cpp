#include "ingot/ir/body.h"
#include "ingot/ir/op_def.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"

namespace ingot {
namespace {

// Composites in a body are lowered before the body is inlined, so that each is built once.
std::unique_ptr<Graph> lower(const Graph& graph, PassContext& context) {
  return rewrite(graph, [&](Rewriter& rewriter, const Node& node) {
    if (!node.op().traits.composite || node.op().body == nullptr || context.target.claims(node)) {
      rewriter.clone(node);
      return;
    }
    ++context.statistics["lower_composites.inlined"];
    const auto body = lower(*build_body(node), context);
    const std::vector<Value> results = inline_graph(
        rewriter.graph(), *body, rewriter.map_inputs(node), node.origin(), node.name());
    for (std::size_t i = 0; i < results.size(); ++i) {
      rewriter.replace({const_cast<Node*>(&node), static_cast<int>(i)}, results[i]);
    }
  });
}

}  // namespace

std::unique_ptr<Graph> lower_composites(const Graph& graph, PassContext& context) {
  return lower(graph, context);
}

}  // namespace ingot
