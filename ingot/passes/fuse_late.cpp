#include "ingot/passes/fuse_late.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
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

// Limits of what several units compute rather than share.
constexpr int kMaxRecipeReads = 2;
constexpr std::size_t kMaxReaders = 8;

class LateFusion {
 public:
  LateFusion(const Graph& graph, PassContext& context, FusionUnits& units, AcceptJoin accept)
      : graph_(graph), context_(context), units_(units), accept_(accept) {}

  void run() {
    const int size = static_cast<int>(graph_.size());
    for (int id = 0; id < size; ++id) {
      if (is_pointwise(units_.node(id)) && !units_.is_dead(id)) recompute(id);
    }
    if (context_.form != StepForm::throughput) return;
    for (int id = 0; id < size; ++id) compute_from_reads(id);
    for (int id = size - 1; id >= 0; --id) compute_small(id);
    for (int id = 0; id < size; ++id) {
      if (units_.node(id).op().traits.view && units_.is_alone(id)) units_.hoist(units_.unit_of(id));
    }
    for (int id = 0; id < size; ++id) join_readers(id);
    join_conversions();
    join_assigned();
    for (int id = 0; id < size; ++id) join_moves(id);
    for (int id = 0; id < size; ++id) compute_places(id);
  }

 private:
  /// Whether a Node may compute an operand itself.
  [[nodiscard]] bool may_recompute(int id, const Shape& shape) const {
    const Node& node = units_.node(id);
    return (is_pointwise(node) && units_.node(id).output_type().shape == shape) ||
           is_reduction(node);
  }

  /// The elementwise Nodes of its own unit that a Value is made of, when they are few and cheap.
  [[nodiscard]] std::optional<UnitClosure> find_recipe(int id, int most_reads) const {
    const int u = units_.unit_of(id);
    const Shape& shape = units_.node(id).output_type().shape;
    UnitClosure recipe;
    double flops = 0;
    int reads = 0;
    std::set<int, std::greater<>> pending{id};
    while (!pending.empty()) {
      const int at = *pending.begin();
      pending.erase(pending.begin());
      // A Node whose unit computes its operands again is no use elsewhere.
      if (!std::ranges::equal(units_.inputs(at), units_.node(at).inputs())) return std::nullopt;
      flops += flops_per_element(units_.node(at));
      if (!is_pointwise(units_.node(at)) || flops > kMaxPrologueFlops) return std::nullopt;
      recipe.copies.push_back(at);
      if (recipe.copies.size() > kMaxPrologue) return std::nullopt;
      for (const Value& input : units_.node(at).inputs()) {
        if (units_.unit_of(input.node()->id()) == u) {
          pending.insert(input.node()->id());
        } else if (std::ranges::find(recipe.leaves, input) == recipe.leaves.end()) {
          recipe.leaves.push_back(input);
          reads += input.shape() == shape ? 1 : 0;
        }
      }
    }
    if (reads > most_reads) return std::nullopt;
    std::ranges::reverse(recipe.copies);
    return recipe;
  }

  /// A Value that units far apart need, such as one of the forward pass in the backward pass, is
  /// computed by each where that is cheap and nobody needs it in memory.
  void recompute(int id) {
    const int u = units_.unit_of(id);
    const Value value{const_cast<Node*>(&units_.node(id)), 0};
    if (units_.is_fetched(value)) return;
    std::vector<int> users;
    for (const int user : units_.users(id)) {
      if (units_.unit_of(user) != u) users.push_back(user);
    }
    // A Node alone with one user would have joined it if it could.
    const std::size_t readers = users.size() + (units_.is_alone(id) ? 0 : 1);
    if (readers < 2 || users.empty() || users.size() > kMaxReaders) return;
    const auto recipe = find_recipe(id, kMaxRecipeReads);
    if (!recipe) return;
    for (const int user : users) {
      if (!may_recompute(user, value.shape())) return;
    }
    for (const int user : users) {
      std::vector<int> region;
      std::ranges::set_union(units_.all_of(units_.unit_of(user)), recipe->copies,
                             std::back_inserter(region));
      if (region.size() > kMaxUnitMembers || !accept_(region, user)) return;
    }
    for (const int user : users) copy_into(user, value, *recipe);
  }

  /// Lets a Node's unit make the Value by the recipe.
  void copy_into(int user, const Value& value, const UnitClosure& recipe) {
    std::vector<Value> reads = recipe.leaves;
    for (const Value& input : units_.inputs(user)) {
      if (input != value && std::ranges::find(reads, input) == reads.end()) reads.push_back(input);
    }
    units_.set_copies(user, recipe.copies, std::move(reads));
    context_.statistics["fuse.recomputed"] += std::ssize(recipe.copies);
  }

  /// The rule 8.
  void compute_from_reads(int id) {
    if (!is_pointwise(units_.node(id)) || units_.is_dead(id)) return;
    const int u = units_.unit_of(id);
    const Value value{const_cast<Node*>(&units_.node(id)), 0};
    if (!units_.escapes(value)) return;
    const auto recipe = find_recipe(id, 1);
    if (!recipe) return;
    const std::vector<int> users(units_.users(id).begin(), units_.users(id).end());
    for (const int user : users) {
      const int w = units_.unit_of(user);
      if (w == u || !may_recompute(user, value.shape())) continue;
      const bool at_hand = std::ranges::all_of(recipe->leaves, [&](const Value& leaf) {
        return leaf.shape() != value.shape() ||
               std::ranges::any_of(units_.unit(w).members, [&](int member) {
                 return units_.is_user(member, leaf) && units_.unit_of(leaf.node()->id()) != w;
               });
      });
      if (!at_hand) continue;
      std::vector<int> region;
      std::ranges::set_union(units_.all_of(w), recipe->copies, std::back_inserter(region));
      if (region.size() > kMaxUnitMembers || !accept_(region, user)) continue;
      copy_into(user, value, *recipe);
    }
  }

  /// The rule 9.
  void compute_small(int id) {
    if (!is_per_channel(units_.node(id), context_) || units_.is_dead(id) || !units_.is_alone(id))
      return;
    const Value value{const_cast<Node*>(&units_.node(id)), 0};
    if (units_.is_fetched(value)) return;
    const std::vector<int> users(units_.users(id).begin(), units_.users(id).end());
    const auto takes = [&](int user) {
      return !is_per_channel(units_.node(user), context_) &&
             (is_pointwise(units_.node(user)) || is_reduction(units_.node(user)));
    };
    if (!std::ranges::all_of(users, takes)) return;
    UnitClosure recipe{{id}, {}};
    for (const Value& input : units_.inputs(id)) recipe.leaves.push_back(input);
    for (const int user : users) {
      std::vector<int> region = units_.all_of(units_.unit_of(user));
      region.insert(std::ranges::lower_bound(region, id), id);
      if (region.size() > kMaxUnitMembers || !accept_(region, user)) return;
    }
    for (const int user : users) copy_into(user, value, recipe);
  }

  /// Whether the unit is made of elementwise Nodes of the shape alone.
  [[nodiscard]] bool is_elementwise(int u, const Shape& shape) const {
    return std::ranges::all_of(units_.unit(u).members, [&](int id) {
      return is_pointwise(units_.node(id)) && units_.node(id).output_type().shape == shape;
    });
  }

  /// The rule 10.
  void join_readers(int id) {
    if (units_.is_dead(id) || units_.node(id).outputs().empty()) return;
    const Value value{const_cast<Node*>(&units_.node(id)), 0};
    const std::vector<int> users(units_.users(id).begin(), units_.users(id).end());
    if (users.size() > kMaxReaders) return;
    int into = -1;
    for (const int user : users) {
      const int u = units_.unit_of(user);
      if (u == into || u == units_.unit_of(id) || !units_.is_user(user, value)) continue;
      if (!is_elementwise(u, value.shape())) continue;
      std::vector<int> region;
      if (into >= 0) {
        std::ranges::set_union(units_.all_of(into), units_.all_of(u), std::back_inserter(region));
      }
      const bool joins = into >= 0 && region.size() <= kMaxUnitMembers && accept_(region, user) &&
                         units_.merge(into, u);
      if (!joins) into = u;
    }
  }

  /// Whether assigns alone read what leaves the unit, elementwise Nodes of one shape.
  [[nodiscard]] bool is_assigned(int u) const {
    const FusionUnit& unit = units_.unit(u);
    if (unit.members.empty() || !unit.copies.empty()) return false;
    if (!is_pointwise(units_.node(unit.members.front()))) return false;  // an assign has no outputs
    const Shape& shape = units_.node(unit.members.front()).output_type().shape;
    return std::ranges::all_of(unit.members, [&](int id) {
      const Node& node = units_.node(id);
      if (!is_pointwise(node) || units_.is_dead(id) || node.output_type().shape != shape)
        return false;
      if (units_.is_fetched({const_cast<Node*>(&node), 0})) return false;
      return std::ranges::all_of(units_.users(id), [&](int user) {
        return units_.unit_of(user) == u || units_.node(user).op().traits.side_effect;
      });
    });
  }

  /// Updates of variables by elementwise Nodes, such as running averages: one unit for those of one
  /// shape, as many as it takes.
  void join_assigned() {
    std::map<std::string, int> open;
    for (const int u : units_.order()) {
      if (!is_assigned(u)) continue;
      const int id = units_.unit(u).members.front();
      const std::string key = units_.node(id).output_type().to_string();
      const auto it = open.find(key);
      bool joins = false;
      if (it != open.end()) {
        std::vector<int> region;
        std::ranges::set_union(units_.all_of(it->second), units_.all_of(u),
                               std::back_inserter(region));
        joins = accept_(region, id) && units_.merge(it->second, u);
      }
      if (!joins) open[key] = u;
    }
  }

  /// Conversions of variables are there from the start: one kernel makes all of them.
  void join_conversions() {
    int first = -1;
    for (int id = 0; id < static_cast<int>(graph_.size()); ++id) {
      const Node& node = units_.node(id);
      const bool converts =
          &node.op() == &cast_op() && (units_.is_alone(id) && !units_.is_dead(id)) &&
          &units_.node(units_.inputs(id).front().node()->id()).op() == &variable_op();
      if (!converts) continue;
      const bool joins = first >= 0 && accept_(units_.all_of(units_.unit_of(first)), id) &&
                         units_.merge(units_.unit_of(first), units_.unit_of(id));
      if (!joins) first = id;
    }
  }

  /// Whether nothing but the Value leaves the unit.
  [[nodiscard]] bool is_only_result(const Value& value, int u) const {
    return std::ranges::all_of(units_.unit(u).members, [&](int member) {
      const Node& node = units_.node(member);
      for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
        const Value other{const_cast<Node*>(&node), i};
        if (other != value && units_.escapes(other)) return false;
      }
      return true;
    });
  }

  /// Whether the Value is all that leaves its unit, and only the unit u reads it.
  [[nodiscard]] bool is_own_operand(const Value& value, int u) const {
    const int from = value.node()->id();
    const int own = units_.unit_of(from);
    if (own == u || units_.node(from).op().traits.source || !units_.unit(own).copies.empty())
      return false;
    return !units_.is_fetched(value) && is_only_result(value, own) &&
           std::ranges::all_of(units_.users(from),
                               [&](int user) { return units_.unit_of(user) == u; });
  }

  /// Whether the target may know it as a Node that moves elements.
  [[nodiscard]] bool may_move(int id) const {
    const Node& node = units_.node(id);
    const Traits& traits = node.op().traits;
    return !is_pointwise(node) && !is_reduction(node) && !traits.source && !traits.side_effect &&
           node.body() == nullptr && !node.outputs().empty() && !units_.is_dead(id);
  }

  /// The rule 12: the Node's unit takes what makes its operands, then what makes those of these.
  void join_moves(int id) {
    if (!may_move(id)) return;
    while (take_operand(id)) {
    }
  }

  bool take_operand(int id) {
    const int u = units_.unit_of(id);
    for (const int member : units_.unit(u).members) {
      for (const Value& operand : units_.inputs(member)) {
        if (!is_own_operand(operand, u)) continue;
        const int before = operand.node()->id();
        std::vector<int> region;
        std::ranges::set_union(units_.all_of(units_.unit_of(before)), units_.all_of(u),
                               std::back_inserter(region));
        if (region.size() > kMaxUnitMembers || !has_one_result(u) || !accept_(region, id)) continue;
        if (units_.merge(u, units_.unit_of(before))) return true;
      }
    }
    return false;
  }

  [[nodiscard]] bool has_one_result(int u) const {
    int results = 0;
    for (const int member : units_.unit(u).members) {
      const Node& node = units_.node(member);
      for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
        results += units_.escapes({const_cast<Node*>(&node), i}) ? 1 : 0;
      }
    }
    return results == 1;
  }

  /// The rule 13.
  void compute_places(int id) {
    const Value value{const_cast<Node*>(&units_.node(id)), 0};
    if (units_.is_dead(id) || units_.node(id).outputs().empty()) return;
    if (units_.node(id).op().traits.source || !is_integer(value.dtype())) return;
    const int u = units_.unit_of(id);
    const FusionUnit& unit = units_.unit(u);
    if (!unit.copies.empty() || units_.is_fetched(value) || !is_only_result(value, u)) return;
    UnitClosure recipe;
    double flops = 0;
    // With single elements that it is made of, wherever these belong.
    std::set<int> pending(unit.members.begin(), unit.members.end());
    while (!pending.empty()) {
      const int at = *pending.rbegin();
      pending.erase(at);
      recipe.copies.push_back(at);
      if (is_pointwise(units_.node(at))) flops += flops_per_element(units_.node(at));
      for (const Value& input : units_.inputs(at)) {
        const int from = input.node()->id();
        const bool one = is_pointwise(units_.node(from)) && input.type().numel() == 1 &&
                         std::ranges::equal(units_.inputs(from), units_.node(from).inputs());
        if (one) pending.insert(from);
        if (one || units_.unit_of(from) == u) continue;
        if (std::ranges::find(recipe.leaves, input) == recipe.leaves.end()) {
          recipe.leaves.push_back(input);
        }
      }
    }
    std::ranges::reverse(recipe.copies);
    if (flops > kMaxPrologueFlops || recipe.copies.size() > kMaxPrologue) return;
    const std::vector<int> users(units_.users(id).begin(), units_.users(id).end());
    for (const int user : users) {
      if (!may_move(user) || user == id || !has_one_result(units_.unit_of(user))) return;
      std::vector<int> region;
      std::ranges::set_union(units_.all_of(units_.unit_of(user)), recipe.copies,
                             std::back_inserter(region));
      if (region.size() > kMaxUnitMembers || !accept_(region, user)) return;
    }
    for (const int user : users) copy_into(user, value, recipe);
    for (const int copy : recipe.copies) {
      if (units_.is_dead(copy) && units_.unit_of(copy) != u) units_.remove(copy);
    }
  }

  const Graph& graph_;
  PassContext& context_;
  FusionUnits& units_;
  AcceptJoin accept_;
};

}  // namespace

double flops_per_element(const Node& node) {
  if (node.op().cost == nullptr) return 1.0;
  const auto elements = static_cast<double>(node.output_type().numel());
  return elements > 0 ? node.op().cost(node).flops / elements : 0.0;
}

bool is_per_channel(const Node& node, const PassContext& context) {
  if (context.form != StepForm::throughput || !is_pointwise(node)) return false;
  const Shape& shape = node.output_type().shape;
  if (shape.rank() < 3) return false;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (axis != 1 && shape[axis] != 1) return false;
  }
  return true;
}

void recompute_and_join(const Graph& graph, PassContext& context, FusionUnits& units,
                        AcceptJoin accept) {
  LateFusion(graph, context, units, accept).run();
}

}  // namespace ingot
