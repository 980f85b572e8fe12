#include <algorithm>
#include <unordered_map>

#include "ingot/ir/op_def.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"

namespace ingot {
namespace {

std::size_t hash_node(const Node& node, std::span<const Value> inputs) {
  std::size_t seed = std::hash<const void*>{}(&node.op());
  const auto combine = [&seed](std::size_t value) {
    seed ^= value + 0x9e3779b97f4a7c15ull + (seed << 6) + (seed >> 2);
  };
  for (const AttrValue& attr : node.attrs()) combine(hash_value(attr));
  for (const Value& input : inputs) combine(ValueHash{}(input));
  return seed;
}

bool is_equal(const Node& old, std::span<const Value> inputs, const Node& made) {
  return &old.op() == &made.op() && std::ranges::equal(old.attrs(), made.attrs()) &&
         std::ranges::equal(inputs, made.inputs());
}

}  // namespace

std::unique_ptr<Graph> eliminate_common_subexpressions(const Graph& graph, PassContext& context) {
  std::unordered_multimap<std::size_t, Node*> known;
  std::int64_t merged = 0;
  auto result = rewrite(graph, [&](Rewriter& rewriter, const Node& node) {
    if (node.op().traits.side_effect || node.body() != nullptr) {
      rewriter.clone(node);
      return;
    }
    std::vector<Value> inputs = rewriter.map_inputs(node);
    const std::size_t hash = hash_node(node, inputs);
    const auto [first, last] = known.equal_range(hash);
    for (auto it = first; it != last; ++it) {
      if (!is_equal(node, inputs, *it->second)) continue;
      rewriter.replace(node, *it->second);
      ++merged;
      return;
    }
    known.emplace(hash, rewriter.clone(node, std::move(inputs)));
  });
  context.statistics["common_subexpressions.merged"] += merged;
  return result;
}

}  // namespace ingot
