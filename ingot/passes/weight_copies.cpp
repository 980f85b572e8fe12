#include "ingot/passes/weight_copies.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ingot/base/trace.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/ops.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"

namespace ingot {
namespace {

/// A conversion of a variable: a `cast`, or one result of a Region of them.
struct Conversion {
  Value result;
  Value variable;
};

/// Those of a Node that only converts variables; else none.
std::vector<Conversion> conversions_of(const Node& node) {
  if (&node.op() != &cast_op() && !is_conversions(node)) return {};
  std::vector<Conversion> found;
  for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
    const std::size_t operand =
        node.body() == nullptr ? 0 : converted_operand(node, static_cast<std::size_t>(i));
    found.push_back({{const_cast<Node*>(&node), i}, node.input(operand)});
    if (&node.input(operand).node()->op() != &variable_op()) return {};
  }
  return found;
}

/// Whether a Value is a weight in fewer bits, as it lies in memory.
bool narrows_weight(const Conversion& conversion) {
  const Value& from = conversion.variable;
  const DType to = conversion.result.dtype();
  return role_of(*from.node()) == VariableRole::parameter && is_float(from.dtype()) &&
         is_float(to) && dtype_size(to) < dtype_size(from.dtype()) &&
         conversion.result.layout() == from.layout();
}

/// An argument of a body for the Value.
Value argument_for(Graph& body, std::size_t index, const Value& value) {
  const Value argument = body.argument(static_cast<int>(index), value.type());
  argument.node()->set_layout(0, value.layout());
  return argument;
}

/// A cast that is a result of a body.
void fetch_cast(Graph& body, const Value& value, const Value& like) {
  const Value cast = ops::cast(value, like.dtype(), {});
  cast.node()->set_layout(0, like.layout());
  body.fetch(cast.node()->name(), cast);
}

/// A Region of the conversions.
Node* add_region(Graph& graph, const Origin& origin, const OpDef& op,
                 std::span<const Conversion> conversions, std::vector<Value> operands) {
  auto body = std::make_unique<Graph>();
  std::size_t index = 0;
  for (const auto& [result, variable] : conversions) {
    fetch_cast(*body, argument_for(*body, index++, variable), result);
  }
  const Graph::OriginScope scope = graph.with_origin(origin);
  Node* region = graph.add_region(op, std::move(operands), std::move(body));
  for (std::size_t i = 0; i < conversions.size(); ++i) {
    region->set_layout(static_cast<int>(i), conversions[i].result.layout());
  }
  return region;
}

/// An update, with the conversions of weights' new values besides its own results.
struct UpdateWithCopies {
  const Node* update = nullptr;
  std::vector<std::pair<int, Value>> copies;  ///< a result, and what has its dtype converted

  Node* add_to(Graph& graph, std::vector<Value> operands) const {
    auto body = std::make_unique<Graph>();
    std::vector<Value> arguments;
    for (const Value& input : update->inputs()) {
      arguments.push_back(argument_for(*body, arguments.size(), input));
    }
    Node* inner = body->clone(*update, std::move(arguments));
    const auto count = static_cast<int>(inner->outputs().size());
    for (int i = 0; i < count; ++i) {
      body->fetch(fmt::format("{}:{}", inner->name(), i), inner->output(i));
    }
    for (const auto& [result, like] : copies) fetch_cast(*body, inner->output(result), like);
    const Graph::OriginScope scope = graph.with_origin(update->origin());
    Node* region = graph.add_region(fused_op(), std::move(operands), std::move(body), {},
                                    update->name() + ".copies");
    for (int i = 0; i < count; ++i) {
      region->set_layout(i, update->outputs()[static_cast<std::size_t>(i)].layout);
    }
    for (std::size_t i = 0; i < copies.size(); ++i) {
      region->set_layout(count + static_cast<int>(i), copies[i].second.layout());
    }
    return region;
  }
};

class WeightCopies {
 public:
  WeightCopies(const Graph& graph, PassContext& context) : graph_(graph), context_(context) {
    for (const Fetch& fetch : graph.fetches()) read_late_.insert(key(fetch.value));
    for (const Node* assign : graph.nodes_of(assign_op())) read_late_.insert(key(assign->input(1)));
  }

  std::unique_ptr<Graph> run() {
    for (const auto& node : graph_.nodes()) {
      std::vector<Conversion> candidates = conversions_of(*node);
      std::erase_if(candidates, [](const Conversion& c) { return !narrows_weight(c); });
      if (candidates.empty() || !supports(*node, candidates)) continue;
      for (const Conversion& conversion : candidates) consider(conversion);
    }
    for (auto& [update, region] : updates_) {
      if (supports(region)) continue;
      for (const auto& [result, like] : region.copies) kept_.erase(key(like));
      region.update = nullptr;
    }
    return rewrite(graph_, [this](Rewriter& rewriter, const Node& node) {
      const auto update = updates_.find(node.id());
      if (update != updates_.end() && update->second.update != nullptr) {
        emit_update(rewriter, update->second);
      } else if (!emit_conversions(rewriter, node)) {
        rewriter.clone(node);
      }
    });
  }

 private:
  using Key = std::pair<int, int>;
  static Key key(const Value& value) { return {value.node()->id(), value.index()}; }

  /// Decides whether a conversion is kept, and who writes that of the next step.
  void consider(const Conversion& conversion) {
    const Node& variable = *conversion.variable.node();
    if (context_.external.contains(variable.name())) return;
    if (read_late_.contains(key(conversion.result))) return;
    const Node* assign = graph_.assign_of(variable.name());
    if (assign != nullptr) {
      const Value next = assign->input(1);
      const bool updated = assign->inputs().size() == 2 &&
                           &next.node()->op() == &optimizer_update_op() &&
                           next.layout() == conversion.result.layout();
      // A weight has one copy.
      if (!updated || !copied_.insert(variable.id()).second) return;
      UpdateWithCopies& region = updates_[next.node()->id()];
      region.update = next.node();
      region.copies.emplace_back(next.index(), conversion.result);
    }
    kept_.insert(key(conversion.result));
  }

  /// A Value of the type and layout in a Graph made to ask.
  static Value stand_in(Graph& probe, const Value& value) {
    const Value x = probe.placeholder(fmt::format("x{}", probe.size()), value.type(), {});
    x.node()->set_layout(0, value.layout());
    return x;
  }

  [[nodiscard]] bool supports(const Node& node, std::span<const Conversion> conversions) const {
    Graph probe;
    std::vector<Value> operands;
    for (const Conversion& c : conversions) operands.push_back(stand_in(probe, c.variable));
    const Node* region =
        add_region(probe, node.origin(), weight_copies_op(), conversions, std::move(operands));
    return context_.target.supports(*region).ok;
  }

  [[nodiscard]] bool supports(const UpdateWithCopies& region) const {
    Graph probe;
    std::vector<Value> operands;
    for (const Value& operand : region.update->inputs()) {
      operands.push_back(stand_in(probe, operand));
    }
    const Support support = context_.target.supports(*region.add_to(probe, std::move(operands)));
    if (!support && trace_enabled(Channel::dispatch)) {
      trace(Channel::dispatch, fmt::format("weight_copies: \"{}\" writes no copies: {}",
                                           region.update->name(), support.reason));
    }
    return support.ok;
  }

  static void emit_update(Rewriter& rewriter, const UpdateWithCopies& region) {
    Node* made = region.add_to(rewriter.graph(), rewriter.map_inputs(*region.update));
    for (int i = 0; i < static_cast<int>(region.update->outputs().size()); ++i) {
      rewriter.replace({const_cast<Node*>(region.update), i}, made->output(i));
    }
  }

  /// Whether the Node had conversions to keep: they are a Region of their own then.
  bool emit_conversions(Rewriter& rewriter, const Node& node) {
    std::vector<Conversion> kept;
    std::vector<Conversion> rest;
    for (const Conversion& conversion : conversions_of(node)) {
      (kept_.contains(key(conversion.result)) ? kept : rest).push_back(conversion);
    }
    if (kept.empty()) return false;
    emit_region(rewriter, node, weight_copies_op(), kept);
    context_.statistics["weight_copies.kept"] += std::ssize(kept);
    if (rest.size() == 1) {
      const Value cast = ops::cast(rewriter.map(rest[0].variable), rest[0].result.dtype(), {});
      cast.node()->set_layout(0, rest[0].result.layout());
      rewriter.replace(rest[0].result, cast);
    } else if (!rest.empty()) {
      emit_region(rewriter, node, fused_op(), rest);
    }
    return true;
  }

  static void emit_region(Rewriter& rewriter, const Node& node, const OpDef& op,
                          std::span<const Conversion> conversions) {
    std::vector<Value> operands;
    for (const Conversion& c : conversions) operands.push_back(rewriter.map(c.variable));
    Node* region =
        add_region(rewriter.graph(), node.origin(), op, conversions, std::move(operands));
    for (std::size_t i = 0; i < conversions.size(); ++i) {
      rewriter.replace(conversions[i].result, region->output(static_cast<int>(i)));
    }
  }

  const Graph& graph_;
  PassContext& context_;
  std::set<Key> read_late_;  // by the end of the step, when a copy may have been overwritten
  std::set<Key> kept_;
  std::set<int> copied_;  // assigned variables with a copy
  std::map<int, UpdateWithCopies> updates_;
};

}  // namespace

const Node& copied_variable(const Value& copy) {
  const Node& region = *copy.node();
  return *region.input(converted_operand(region, static_cast<std::size_t>(copy.index()))).node();
}

Value copy_after_step(const Value& copy) {
  const Node* assign = copy.node()->graph().assign_of(copied_variable(copy).name());
  if (assign == nullptr || assign->inputs().size() != 2) return {};
  const Value next = assign->input(1);
  const Node& update = *next.node();
  if (update.body() == nullptr) return {};
  const std::vector<Fetch>& results = update.body()->fetches();
  const Value& inside = results[static_cast<std::size_t>(next.index())].value;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Node& cast = *results[i].value.node();
    const Value outside = {const_cast<Node*>(&update), static_cast<int>(i)};
    if (&cast.op() == &cast_op() && cast.input(0) == inside && outside.dtype() == copy.dtype() &&
        outside.layout() == copy.layout()) {
      return outside;
    }
  }
  return {};
}

std::unique_ptr<Graph> weight_copies(const Graph& graph, PassContext& context) {
  if (!context.target.keeps_weight_copies(context.form)) return clone_graph(graph);
  return WeightCopies(graph, context).run();
}

}  // namespace ingot
