// Low-precision Nodes on backends that have them in f32 alone.
#include <algorithm>
#include <vector>

#include "ingot/ir/op_def.h"
#include "ingot/ops/ops.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"

namespace ingot {
namespace {

bool is_low(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }

bool has_low_operand(const Node& node) {
  return std::ranges::any_of(node.inputs(), [](const Value& v) { return is_low(v.dtype()); });
}

void visit(Rewriter& rewriter, const Node& node, PassContext& context) {
  Node* const copy = rewriter.clone(node);
  const Traits& traits = node.op().traits;
  if (traits.side_effect || node.body() != nullptr || !has_low_operand(node) ||
      context.target.supports(*copy)) {
    return;
  }
  const Graph::OriginScope scope = rewriter.graph().with_origin(node.origin());
  std::vector<Value> operands = rewriter.map_inputs(node);
  for (Value& operand : operands) {
    if (is_low(operand.dtype())) operand = ops::cast(operand, DType::f32, {});
  }
  Node* const wide = rewriter.graph().clone(node, std::move(operands));
  if (!context.target.supports(*wide)) return;  // the engine says why there is no kernel
  ++context.statistics["widen.nodes"];
  for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
    const Value old{const_cast<Node*>(&node), i};
    rewriter.replace(old, ops::cast(wide->output(i), old.dtype(), {}));
  }
}

}  // namespace

std::unique_ptr<Graph> widen(const Graph& graph, PassContext& context) {
  return rewrite(graph,
                 [&](Rewriter& rewriter, const Node& node) { visit(rewriter, node, context); });
}

}  // namespace ingot
