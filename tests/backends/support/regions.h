// Regions as the passes make them, written by hand.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/graph.h"

namespace ingot {

/// A Region over `operands`, whose layouts the body's arguments have; `build` writes the body and
/// returns what it fetches, whose layouts the Region's results have.
template <class Build>
Node* add_region(Graph& graph, const std::vector<Value>& operands, const Build& build,
                 const OpDef& op = fused_op(), AttrList attrs = {}) {
  auto body = std::make_unique<Graph>();
  std::vector<Value> arguments;
  for (const Value& operand : operands) {
    arguments.push_back(body->argument(static_cast<int>(arguments.size()), operand.type()));
    arguments.back().node()->set_layout(0, operand.layout());
  }
  std::vector<Layout> layouts;
  for (const Value& result : build(*body, arguments)) {
    body->fetch("r" + std::to_string(layouts.size()), result);
    layouts.push_back(result.layout());
  }
  Node* region = graph.add_region(op, operands, std::move(body), std::move(attrs));
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    region->set_layout(static_cast<int>(i), layouts[i]);
  }
  return region;
}

/// The Value, in that layout.
inline Value in_layout(Value value, const Layout& layout) {
  value.node()->set_layout(value.index(), layout);
  return value;
}

}  // namespace ingot
