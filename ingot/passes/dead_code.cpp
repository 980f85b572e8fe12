#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"

namespace ingot {

std::unique_ptr<Graph> eliminate_dead_code(const Graph& graph, PassContext& context) {
  std::vector<bool> live(graph.size(), false);
  for (const Fetch& fetch : graph.fetches()) {
    live[static_cast<std::size_t>(fetch.value.node()->id())] = true;
  }
  std::int64_t dropped = 0;
  for (std::size_t id = graph.size(); id-- > 0;) {
    const Node& node = *graph.nodes()[id];
    if (node.op().traits.side_effect) live[id] = true;
    if (!live[id]) {
      ++dropped;
      continue;
    }
    for (const Value& input : node.inputs()) {
      live[static_cast<std::size_t>(input.node()->id())] = true;
    }
  }
  context.statistics["dead_code.dropped"] += dropped;
  return rewrite(graph, [&](Rewriter& rewriter, const Node& node) {
    if (live[static_cast<std::size_t>(node.id())]) rewriter.clone(node);
  });
}

}  // namespace ingot
