#include "ingot/engine/freeze.h"

#include <unordered_map>
#include <utility>
#include <vector>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"

namespace ingot {

std::unique_ptr<Graph> freeze(const Graph& graph, const VariableStore& store) {
  auto frozen = std::make_unique<Graph>();
  std::unordered_map<Value, Value, ValueHash> now;
  const auto put = [&](Node& old, Node& made) {
    for (int i = 0; i < static_cast<int>(old.outputs().size()); ++i) {
      now[old.output(i)] = made.output(i);
    }
  };
  const auto is_named = [](const Node& node) {
    return &node.op() == &placeholder_op() || &node.op() == &variable_op();
  };
  // First, so that no other Node can take their names.
  for (const auto& node : graph.nodes()) {
    if (!is_named(*node)) continue;
    const Graph::OriginScope scope = frozen->with_origin(node->origin());
    if (&node->op() == &placeholder_op() || graph.assign_of(node->name()) != nullptr) {
      put(*node, *frozen->clone(*node, {}));
      continue;
    }
    TensorAttr value{std::make_shared<const HostTensor>(store.read(node->name()))};
    put(*node, *frozen->add(constant_op(), {}, {{"value", AttrValue(std::move(value))}},
                            node->name(), {}));
  }
  for (const auto& node : graph.nodes()) {
    if (is_named(*node)) continue;
    std::vector<Value> inputs;
    for (const Value& input : node->inputs()) inputs.push_back(now.at(input));
    put(*node, *frozen->clone(*node, std::move(inputs)));
  }
  for (const Fetch& fetch : graph.fetches()) frozen->fetch(fetch.name, now.at(fetch.value));
  return frozen;
}

}  // namespace ingot
