#include "ingot/passes/layout_choice.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"

namespace ingot {
namespace {

/// Operands and results of one Node that must share a layout.
struct Group {
  std::vector<std::size_t> inputs;
  std::vector<std::size_t> outputs;
};

bool has_reduction(const Node& node) {
  if (is_reduction(node)) return true;
  return node.body() != nullptr && std::ranges::any_of(node.body()->nodes(), [](const auto& inner) {
           return is_reduction(*inner);
         });
}

/// p, g, states and their new values of each tensor.
std::vector<Group> optimizer_groups(const Node& node) {
  const auto scalars = static_cast<std::size_t>(node.integer("num_scalars"));
  const auto states = static_cast<std::size_t>(node.integer("num_states"));
  std::vector<Group> groups;
  for (std::size_t in = scalars; in < node.inputs().size(); in += 2 + states) {
    Group& group = groups.emplace_back();
    for (std::size_t i = 0; i < 2 + states; ++i) group.inputs.push_back(in + i);
    for (std::size_t i = 0; i < 1 + states; ++i) {
      group.outputs.push_back((groups.size() - 1) * (1 + states) + i);
    }
  }
  return groups;
}

/// An operand and its result each.
std::vector<Group> conversion_groups(const Node& node) {
  std::vector<Group> groups;
  for (std::size_t i = 0; i < node.outputs().size(); ++i) {
    const Node& operand = *node.body()->fetches()[i].value.node()->input(0).node();
    groups.push_back({{static_cast<std::size_t>(operand.integer("index"))}, {i}});
  }
  return groups;
}

/// An agnostic Node's: what has its largest shape. Windows (pooling) also change the size of the
/// image, and keep its layout.
std::vector<Group> agnostic_groups(const Node& node) {
  if (&node.op() == &optimizer_update_op()) return optimizer_groups(node);
  if (node.op().traits.any_layouts) {
    std::vector<Group> groups;
    for (std::size_t i = 0; i < node.inputs().size(); ++i) groups.push_back({{i}, {}});
    return groups;
  }
  if (is_conversions(node)) return conversion_groups(node);
  Shape full;
  for (const Value& input : node.inputs()) {
    if (full.rank() == 0 || input.type().numel() > full.numel()) full = input.shape();
  }
  for (const Node::Output& output : node.outputs()) {
    if (output.type.numel() >= full.numel()) full = output.type.shape;
  }
  const bool is_window =
      !node.op().traits.elementwise && node.body() == nullptr && !has_reduction(node);
  const auto belongs = [&](const Shape& shape) {
    if (shape == full) return true;
    return is_window && shape.rank() == full.rank() && full.rank() > 2 && shape[0] == full[0] &&
           shape[1] == full[1];
  };
  Group group;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    if (belongs(node.input_type(i).shape)) group.inputs.push_back(i);
  }
  for (std::size_t i = 0; i < node.outputs().size(); ++i) {
    if (belongs(node.output_type(i).shape)) group.outputs.push_back(i);
  }
  return {std::move(group)};
}

/// Values linked by Nodes that want their layouts equal.
class Classes {
 public:
  explicit Classes(std::size_t slots) : parent_(slots) {
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
  }
  std::size_t find(std::size_t slot) {
    while (parent_[slot] != slot) slot = parent_[slot] = parent_[parent_[slot]];
    return slot;
  }
  void join(std::size_t a, std::size_t b) {
    a = find(a);
    b = find(b);
    // The earlier Value leads, so that the outcome does not depend on the order of joins.
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<std::size_t> parent_;
};

class Chooser {
 public:
  Chooser(const Graph& graph, const PassContext& context) : graph_(graph), context_(context) {
    std::size_t slots = 0;
    for (const auto& node : graph.nodes()) {
      first_slot_.push_back(slots);
      slots += node->outputs().size();
      for (int i = 0; i < static_cast<int>(node->outputs().size()); ++i) {
        values_.push_back(node->output(i));
      }
    }
  }

  std::vector<NodeLayouts> run() {
    plans_.resize(graph_.size());
    for (const auto& node : graph_.nodes()) plans_[index(*node)] = plan_of(*node);
    // A Node that refuses the layout of its neighbours becomes plain, which may change theirs.
    for (;;) {
      link();
      choose();
      if (!drop_refusals()) break;
    }
    std::vector<NodeLayouts> result;
    for (const auto& node : graph_.nodes()) result.push_back(layouts_of(*node));
    return result;
  }

 private:
  /// How a Node constrains layouts: by groups, or by fixed ones. Whatever is in no group is fixed.
  struct NodePlan {
    std::vector<Group> groups;
    NodeLayouts fixed;
  };
  struct Class {
    std::vector<std::pair<std::size_t, Layout>> supplies;  // slots produced in a fixed layout
    std::vector<std::pair<std::size_t, Layout>> demands;   // slots read in a fixed layout
    Layout layout;
  };

  static std::size_t index(const Node& node) { return static_cast<std::size_t>(node.id()); }
  [[nodiscard]] std::size_t slot(const Value& value) const {
    return first_slot_[index(*value.node())] + static_cast<std::size_t>(value.index());
  }
  [[nodiscard]] std::int64_t bytes(std::size_t s) const { return values_[s].type().bytes(); }

  static NodeLayouts all_plain(const Node& node) {
    return {std::vector<Layout>(node.inputs().size()), std::vector<Layout>(node.outputs().size())};
  }

  NodePlan plan_of(const Node& node) const {
    NodePlan plan{{}, all_plain(node)};
    const OpDef& op = node.op();
    if (&op == &variable_op()) {
      const auto fixed = context_.fixed_layouts.find(node.name());
      if (fixed == context_.fixed_layouts.end()) {
        plan.groups = {{{}, {0}}};
      } else {
        plan.fixed.outputs[0] = fixed->second;
      }
    } else if (&op == &assign_op()) {
      const auto fixed = context_.fixed_layouts.find(node.input(0).node()->name());
      if (fixed == context_.fixed_layouts.end()) {
        plan.groups = {{{0, 1}, {}}};
      } else {
        plan.fixed.inputs[0] = plan.fixed.inputs[1] = fixed->second;
      }
    } else if (&op == &constant_op()) {
      plan.groups = {{{}, {0}}};  // it is uploaded once, in any layout
    } else if (!op.traits.source) {
      LayoutWish wish = context_.target.layouts(node, context_.form);
      if (wish.agnostic) {
        plan.groups = agnostic_groups(node);
      } else {
        const std::size_t free = wish.outputs.empty() ? node.outputs().size() : 0;
        for (std::size_t i = 0; i < free; ++i) plan.groups.push_back({{}, {i}});
        wish.outputs.resize(node.outputs().size());
        plan.fixed = {std::move(wish.inputs), std::move(wish.outputs)};
      }
    }
    return plan;
  }

  [[nodiscard]] std::size_t leader(const Node& node, const Group& group) {
    const Value first = group.outputs.empty()
                            ? node.input(group.inputs.front())
                            : values_[first_slot_[index(node)] + group.outputs.front()];
    return classes_->find(slot(first));
  }

  void link() {
    classes_.emplace(values_.size());
    for (const auto& node : graph_.nodes()) {
      for (const Group& group : plans_[index(*node)].groups) {
        if (group.inputs.empty() && group.outputs.empty()) continue;
        const std::size_t to = leader(*node, group);
        for (const std::size_t i : group.inputs) classes_->join(to, slot(node->input(i)));
        for (const std::size_t i : group.outputs) classes_->join(to, first_slot_[index(*node)] + i);
      }
    }
  }

  /// Whether each operand, and each result, is in a group.
  static std::pair<std::vector<bool>, std::vector<bool>> grouped(const Node& node,
                                                                 const NodePlan& plan) {
    std::pair<std::vector<bool>, std::vector<bool>> in{
        std::vector<bool>(node.inputs().size(), false),
        std::vector<bool>(node.outputs().size(), false)};
    for (const Group& group : plan.groups) {
      for (const std::size_t i : group.inputs) in.first[i] = true;
      for (const std::size_t i : group.outputs) in.second[i] = true;
    }
    return in;
  }

  void choose() {
    choices_.clear();
    supply_.assign(values_.size(), std::nullopt);
    for (const auto& node : graph_.nodes()) {
      const NodePlan& plan = plans_[index(*node)];
      const auto [inputs, outputs] = grouped(*node, plan);
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (!inputs[i]) demand(slot(node->input(i)), plan.fixed.inputs[i]);
      }
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        if (outputs[i]) continue;
        const std::size_t s = first_slot_[index(*node)] + i;
        supply_[s] = plan.fixed.outputs[i];
        choices_[classes_->find(s)].supplies.emplace_back(s, plan.fixed.outputs[i]);
      }
    }
    for (const Fetch& fetch : graph_.fetches()) demand(slot(fetch.value), Layout{});
    for (auto& [root, choice] : choices_) choice.layout = best_layout(choice);
  }

  void demand(std::size_t s, const Layout& layout) {
    auto& demands = choices_[classes_->find(s)].demands;
    // A Value is reordered once for all that want it in one layout.
    if (!demanded_.emplace(s, layout.to_string(values_[s].shape().rank())).second) return;
    demands.emplace_back(s, layout);
  }

  [[nodiscard]] std::int64_t reorder_bytes(const Class& choice, const Layout& layout) const {
    std::int64_t total = 0;
    for (const auto& [s, supplied] : choice.supplies) total += supplied == layout ? 0 : bytes(s);
    for (const auto& [s, wanted] : choice.demands) {
      const bool there = wanted == layout || (supply_[s] && *supply_[s] == wanted);
      total += there ? 0 : bytes(s);
    }
    return total;
  }

  [[nodiscard]] Layout best_layout(const Class& choice) const {
    std::vector<Layout> candidates;
    const auto offer = [&](const Layout& layout) {
      if (std::ranges::find(candidates, layout) == candidates.end()) candidates.push_back(layout);
    };
    for (const auto& [s, layout] : choice.supplies) offer(layout);
    for (const auto& [s, layout] : choice.demands) offer(layout);
    offer(Layout{});
    const auto cost = [&](const Layout& layout) { return reorder_bytes(choice, layout); };
    return *std::ranges::min_element(candidates, {}, cost);
  }

  [[nodiscard]] Layout chosen(const Node& node, const Group& group) {
    if (group.inputs.empty() && group.outputs.empty()) return {};
    const auto found = choices_.find(leader(node, group));
    return found == choices_.end() ? Layout{} : found->second.layout;
  }

  /// Whether some Node became plain.
  bool drop_refusals() {
    bool any = false;
    for (const auto& node : graph_.nodes()) {
      const OpDef& op = node->op();
      if (op.traits.source || op.traits.side_effect) continue;
      NodePlan& plan = plans_[index(*node)];
      const bool refuses = std::ranges::any_of(plan.groups, [&](const Group& group) {
        const Layout layout = chosen(*node, group);
        return !layout.is_plain() && !context_.target.accepts(*node, layout);
      });
      if (!refuses) continue;
      plan.groups.clear();
      any = true;
    }
    demanded_.clear();
    return any;
  }

  NodeLayouts layouts_of(const Node& node) {
    const NodePlan& plan = plans_[index(node)];
    NodeLayouts layouts = plan.fixed;
    for (const Group& group : plan.groups) {
      const Layout layout = chosen(node, group);
      for (const std::size_t i : group.inputs) layouts.inputs[i] = layout;
      for (const std::size_t i : group.outputs) layouts.outputs[i] = layout;
    }
    return layouts;
  }

  const Graph& graph_;
  const PassContext& context_;
  std::vector<std::size_t> first_slot_;
  std::vector<Value> values_;
  std::vector<NodePlan> plans_;
  std::optional<Classes> classes_;
  std::map<std::size_t, Class> choices_;
  std::vector<std::optional<Layout>> supply_;
  std::set<std::pair<std::size_t, std::string>> demanded_;
};

}  // namespace

std::vector<NodeLayouts> choose_layouts(const Graph& graph, const PassContext& context) {
  return Chooser(graph, context).run();
}

}  // namespace ingot
