#include "ingot/passes/rewriter.h"

#include <fmt/core.h>

#include <utility>

#include "ingot/base/error.h"
#include "ingot/ir/core_ops.h"

namespace ingot {

Rewriter::Rewriter(const Graph& source) : source_(source), graph_(std::make_unique<Graph>()) {
  first_slot_.reserve(source.size() + 1);
  std::size_t slots = 0;
  for (const auto& node : source.nodes()) {
    first_slot_.push_back(slots);
    slots += node->outputs().size();
  }
  first_slot_.push_back(slots);
  values_.resize(slots);
  // First, so that no Node that a pass adds can take their names.
  for (const auto& node : source.nodes()) {
    if (&node->op() == &placeholder_op() || &node->op() == &variable_op() ||
        &node->op() == &argument_op()) {
      clone(*node);
    }
  }
}

Value& Rewriter::slot(const Value& old) {
  return values_[first_slot_[static_cast<std::size_t>(old.node()->id())] +
                 static_cast<std::size_t>(old.index())];
}

bool Rewriter::done(const Node& node) const {
  const auto first = first_slot_[static_cast<std::size_t>(node.id())];
  const auto last = first_slot_[static_cast<std::size_t>(node.id()) + 1];
  return first != last && values_[first].valid();
}

Value Rewriter::map(const Value& old) const {
  const Value now = values_[first_slot_[static_cast<std::size_t>(old.node()->id())] +
                            static_cast<std::size_t>(old.index())];
  if (!now.valid()) {
    throw internal_error(
        fmt::format("rewriter \"{}\": value must be made before it is used", old.node()->name()));
  }
  return now;
}

std::vector<Value> Rewriter::map_inputs(const Node& old) const {
  std::vector<Value> inputs;
  inputs.reserve(old.inputs().size());
  for (const Value& input : old.inputs()) inputs.push_back(map(input));
  return inputs;
}

void Rewriter::replace(const Value& old, Value now) { slot(old) = now; }

void Rewriter::replace(const Node& old, Node& now) {
  const auto first = first_slot_[static_cast<std::size_t>(old.id())];
  for (std::size_t i = 0; i < old.outputs().size(); ++i) {
    values_[first + i] = now.output(static_cast<int>(i));
  }
}

Node* Rewriter::clone(const Node& old) { return clone(old, map_inputs(old)); }

Node* Rewriter::clone(const Node& old, std::vector<Value> inputs, AttrList changed) {
  Node* now = graph_->clone(old, std::move(inputs), std::move(changed));
  replace(old, *now);
  return now;
}

std::unique_ptr<Graph> Rewriter::finish() {
  for (const Fetch& fetch : source_.fetches()) graph_->fetch(fetch.name, map(fetch.value));
  return std::move(graph_);
}

std::vector<std::vector<Use>> find_uses(const Graph& graph) {
  std::vector<std::vector<Use>> uses(graph.size());
  for (const auto& node : graph.nodes()) {
    for (std::size_t i = 0; i < node->inputs().size(); ++i) {
      uses[static_cast<std::size_t>(node->input(i).node()->id())].push_back(
          {node.get(), static_cast<int>(i)});
    }
  }
  return uses;
}

}  // namespace ingot
