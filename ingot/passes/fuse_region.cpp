#include "ingot/passes/fuse_region.h"

#include <fmt/core.h>

#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ingot/ir/core_ops.h"
#include "ingot/passes/node_kinds.h"

namespace ingot {
namespace {

/// The body under construction.
class BodyBuilder {
 public:
  BodyBuilder() : body_(std::make_unique<Graph>()) {}

  void add(const Node& node) {
    std::vector<Value> inputs;
    for (const Value& input : node.inputs()) inputs.push_back(map(input));
    Node* copy = body_->clone(node, std::move(inputs));
    for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
      values_[{const_cast<Node*>(&node), i}] = copy->output(i);
    }
  }

  void fetch(const Value& value) {
    const std::string& name = value.node()->name();
    body_->fetch(value.index() == 0 ? name : fmt::format("{}:{}", name, value.index()),
                 values_.at(value));
  }

  [[nodiscard]] const std::vector<Value>& operands() const noexcept { return operands_; }
  std::unique_ptr<Graph> take() { return std::move(body_); }

 private:
  Value map(const Value& value) {
    const auto known = values_.find(value);
    if (known != values_.end()) return known->second;
    const Node& node = *value.node();
    if (&node.op() == &constant_op() && value.type().numel() == 1) {
      return values_[value] = body_->clone(node, {})->output();
    }
    const Value argument = body_->argument(static_cast<int>(operands_.size()), value.type());
    operands_.push_back(value);
    return values_[value] = argument;
  }

  std::unique_ptr<Graph> body_;
  std::vector<Value> operands_;
  std::unordered_map<Value, Value, ValueHash> values_;
};

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
