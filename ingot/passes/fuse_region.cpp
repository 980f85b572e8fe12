#include "ingot/passes/fuse_region.h"

#include <utility>
#include <vector>

#include "ingot/ir/core_ops.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/passes/body_builder.h"

namespace ingot {
namespace {

/// The member that the Region is named after: what is no elementwise op, else the last.
const Node& primary_of(const FusionUnits& units, int u) {
  for (const int id : units.unit(u).members) {
    if (!is_pointwise(units.node(id))) return units.node(id);
  }
  return units.node(units.unit(u).members.back());
}

}  // namespace

void emit_region(Rewriter& rewriter, const FusionUnits& units, int u) {
  BodyBuilder body;
  for (const int id : units.all_of(u)) body.add(units.node(id));
  std::vector<Value> results;
  for (const int id : units.unit(u).members) {
    const Node& node = units.node(id);
    for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
      const Value value{const_cast<Node*>(&node), i};
      if (!units.escapes(value)) continue;
      body.fetch(value);
      results.push_back(value);
    }
  }
  if (results.empty()) return;
  std::vector<Value> operands;
  for (const Value& operand : body.operands()) operands.push_back(rewriter.map(operand));
  const Node& primary = primary_of(units, u);
  const Graph::OriginScope scope = rewriter.graph().with_origin(primary.origin());
  Node* region = rewriter.graph().add_region(fused_op(), std::move(operands), body.take(), {},
                                             primary.name() + ".fused");
  for (std::size_t i = 0; i < results.size(); ++i) {
    rewriter.replace(results[i], region->output(static_cast<int>(i)));
  }
}

}  // namespace ingot
