// Which Nodes become one kernel. The rules, in their order:
//
// 1. Elementwise Nodes of a producer's shape join it (a convolution, a product, a claimed norm) as
//    its epilogue when the producer's result is then needed nowhere else. Their other operands must
//    be there before.
// 2. Two composites that the target kept whole and that read the same first operands become one
//    unit: a loss and its gradient begin with the same passes over the logits.
// 3. A reduction computes the elementwise chain that it reads itself (its prologue), also when the
//    chain is needed elsewhere, as long as that is cheap and the chain is not stored anyway.
//    Reductions over the same shape and axes that read a common Value become one unit.
// 4. What elementwise Nodes are left form units of one shape. A Value that is also needed outside
//    becomes a further result.
// 5. A reduction of a Value that a unit of elementwise Nodes stores joins that unit.
// 6. A Value that several units need, but nobody in memory, is computed by each of them when that
//    is cheap: the backward pass starts from what is stored anyway.
//
// In steps bound by throughput, where bytes count and launches less, besides:
//
// 7. What a reduction's prologue makes of several Values, and others need, too, is stored by the
//    reduction's unit while it is at hand.
// 8. A Value that a unit can compute from what it reads anyway is not read.
// 9. Values of one channel each are computed by every unit that needs them.
// 10. Units of elementwise Nodes that read a common Value of their shape, and can run at one time,
//     read it once.
// 11. Conversions of variables run as one unit, whatever their shapes; so do updates of variables
//    of one shape.
// 12. A Node that moves elements takes the units that make its operands alone: other such Nodes, or
//     elementwise ones.
// 13. What tells several such Nodes where their elements come from is computed by each of them.
//
// The target has the last word on each join; its reasons go to the trace channel `dispatch`.
#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "ingot/base/trace.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/reduction.h"
#include "ingot/passes/fuse_late.h"
#include "ingot/passes/fuse_region.h"
#include "ingot/passes/fuse_units.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"

namespace ingot {
namespace {

constexpr std::size_t kMaxMembers = kMaxUnitMembers;
// A reduction that reads more Values is worth storing one for.
constexpr int kMaxPrologueReads = 6;
// Units of reductions that a new one is compared with.
constexpr std::size_t kRecentUnits = 4;

/// What may have an epilogue: it computes, and not element by element.
bool is_producer(const Node& node) {
  const Traits& traits = node.op().traits;
  return !is_pointwise(node) && !is_reduction(node) && !traits.source && !traits.side_effect &&
         !traits.view && node.body() == nullptr && !node.outputs().empty();
}

class Fuser {
 public:
  Fuser(const Graph& graph, PassContext& context)
      : graph_(graph), context_(context), units_(graph) {}

  std::unique_ptr<Graph> run() {
    const int size = static_cast<int>(graph_.size());
    for (int id = 0; id < size; ++id) {
      if (is_producer(units_.node(id))) grow_epilogue(id);
    }
    for (int id = 0; id < size; ++id) {
      if (units_.node(id).op().traits.composite) join_like_composite(id);
    }
    for (int id = 0; id < size; ++id) {
      if (is_reduction(units_.node(id)) && !units_.is_dead(id)) take_prologue(id);
    }
    for (int id = 0; id < size; ++id) {
      if (is_reduction(units_.node(id)) && !units_.is_dead(id)) grow_epilogue(id);
    }
    for (int id = 0; id < size; ++id) {
      if (is_free(id) && !is_per_channel(units_.node(id), context_)) grow_pointwise(id);
    }
    for (int id = 0; id < size; ++id) {
      if (is_reduction(units_.node(id)) && !units_.is_dead(id)) join_maker(id);
    }
    recompute_and_join(graph_, context_, units_, [this](std::span<const int> region, int joining) {
      return is_accepted(region, joining);
    });
    return emit();
  }

 private:
  [[nodiscard]] bool is_throughput() const { return context_.form == StepForm::throughput; }
  /// An elementwise Node that belongs to no unit yet.
  [[nodiscard]] bool is_free(int id) const {
    return is_pointwise(units_.node(id)) && !units_.is_dead(id) && units_.is_alone(id);
  }
  [[nodiscard]] bool has_shape(int id, const Shape& shape) const {
    return units_.node(id).output_type().shape == shape;
  }

  bool is_accepted(std::span<const int> region, int joining) {
    std::vector<const Node*> nodes;
    for (const int id : region) {
      if (id != joining) nodes.push_back(&units_.node(id));
    }
    const Node& node = units_.node(joining);
    const Support support = context_.target.can_fuse(nodes, node, context_.form);
    if (!support) {
      ++context_.statistics["fuse.refused"];
      refusals_[joining] = support.reason;
      if (trace_enabled(Channel::dispatch)) {
        trace(Channel::dispatch, fmt::format("fuse: {} \"{}\" does not join {} \"{}\": {}",
                                             node.op().name, node.name(), nodes.front()->op().name,
                                             nodes.front()->name(), support.reason));
      }
    }
    return support.ok;
  }

  /// Whether all users of the Value are in the unit, or elementwise Nodes that may still join it.
  [[nodiscard]] bool may_become_internal(const Value& value, int u, const Shape& shape) const {
    if (units_.is_fetched(value)) return false;
    return std::ranges::all_of(units_.users(value.node()->id()), [&](int user) {
      return !units_.is_user(user, value) || units_.unit_of(user) == u ||
             (is_free(user) && has_shape(user, shape));
    });
  }

  /// Whether only elementwise Nodes of the unit read the Value.
  [[nodiscard]] bool feeds_only(const Value& value, int u) const {
    return !units_.is_fetched(value) &&
           std::ranges::all_of(units_.users(value.node()->id()), [&](int user) {
             return units_.unit_of(user) == u && is_pointwise(units_.node(user));
           });
  }

  /// Whether the Value's Node follows a producer whose own epilogue it may be.
  [[nodiscard]] bool may_be_epilogue(const Value& value) const {
    return std::ranges::any_of(value.node()->inputs(), [&](const Value& input) {
      return is_producer(*input.node()) && units_.is_alone(input.node()->id());
    });
  }

  /// Lets elementwise users of the unit's results, and what feeds only the unit, join it.
  void grow(int u, const Shape& shape) {
    const bool is_epilogue = !is_pointwise(units_.node(units_.unit(u).members.front()));
    std::priority_queue<int, std::vector<int>, std::greater<>> candidates;
    std::unordered_set<int> seen;
    const auto offer = [&](int id) {
      if (is_free(id) && has_shape(id, shape) && seen.insert(id).second) candidates.push(id);
    };
    const auto offer_neighbours = [&](int id) {
      for (const int user : units_.users(id)) offer(user);
      for (const Value& input : units_.inputs(id)) {
        if (feeds_only(input, u) && !(is_epilogue && may_be_epilogue(input))) {
          offer(input.node()->id());
        }
      }
    };
    for (const int id : std::vector<int>(units_.unit(u).members)) offer_neighbours(id);
    while (!candidates.empty() && units_.unit(u).members.size() < kMaxMembers) {
      const int id = candidates.top();
      candidates.pop();
      if (units_.unit_of(id) == u || !saves_a_result(id, u, shape)) continue;
      if (!is_accepted(units_.all_of(u), id)) continue;
      if (units_.merge(u, units_.unit_of(id))) offer_neighbours(id);
    }
  }

  /// Whether one Value fewer might be stored when the Node joins.
  [[nodiscard]] bool saves_a_result(int id, int u, const Shape& shape) const {
    const bool feeds =
        std::ranges::any_of(units_.users(id), [&](int user) { return units_.unit_of(user) == u; });
    return feeds || std::ranges::any_of(units_.inputs(id), [&](const Value& input) {
             return units_.unit_of(input.node()->id()) == u && may_become_internal(input, u, shape);
           });
  }

  /// A cast to a larger float: who reads it had better make it from what is stored.
  static bool is_widening(const Node& node) {
    const DType to = node.output_type().dtype;
    const bool is_cast = node.inputs().size() == 1 && is_float(to) &&
                         is_float(node.input_type(0).dtype) && &node.op() == &cast_op();
    return is_cast && dtype_size(to) > dtype_size(node.input_type(0).dtype);
  }

  /// Takes out Nodes at the unit's end that only read what is stored anyway, or make it larger.
  void trim(int u, int keep) {
    const std::vector<int> members = units_.unit(u).members;
    for (auto it = members.rbegin(); it != members.rend(); ++it) {
      const int id = *it;
      if (id == keep || !is_pointwise(units_.node(id))) continue;
      const bool is_end = std::ranges::none_of(units_.users(id),
                                               [&](int user) { return units_.unit_of(user) == u; });
      if (!is_end) continue;
      const bool saves = std::ranges::any_of(units_.inputs(id), [&](const Value& input) {
        return units_.unit_of(input.node()->id()) == u && !units_.escapes(input);
      });
      if (!saves || is_widening(units_.node(id))) units_.remove(id);
    }
  }

  void grow_epilogue(int id) {
    const Value result{const_cast<Node*>(&units_.node(id)), 0};
    const int u = units_.unit_of(id);
    if (units_.users(id).empty() || !may_become_internal(result, u, result.shape())) return;
    const std::vector<int> before = units_.unit(u).members;
    grow(u, result.shape());
    trim(u, id);
    if (!units_.escapes(result)) return;
    // The result is stored all the same: apart is as good.
    const std::vector<int> members = units_.unit(u).members;
    for (auto it = members.rbegin(); it != members.rend(); ++it) {
      if (!std::ranges::binary_search(before, *it)) units_.remove(*it);
    }
  }

  void grow_pointwise(int id) {
    const int u = units_.unit_of(id);
    grow(u, units_.node(id).output_type().shape);
    trim(u, id);
  }

  /// A Value that elementwise Nodes and reductions alone read need not be stored.
  [[nodiscard]] bool is_stored_anyway(const Value& value, const Shape& shape) const {
    if (units_.is_fetched(value)) return true;
    return std::ranges::any_of(units_.users(value.node()->id()), [&](int user) {
      const bool reads_cheaply =
          (is_free(user) && has_shape(user, shape)) || is_reduction(units_.node(user));
      return !reads_cheaply;
    });
  }

  /// The elementwise Nodes behind a reduction's operand, up to the limits.
  [[nodiscard]] UnitClosure find_prologue(int reduction) const {
    const Shape& shape = units_.node(reduction).input_type(0).shape;
    std::set<int> copies;
    double flops = 0;
    // Where bytes count, a longer chain costs less than storing a Value in its midst.
    const int longer = is_throughput() ? 2 : 1;
    // From the reduction backwards, nearest first: ids descend along operands.
    std::set<int, std::greater<>> pending;
    const auto offer = [&](const Value& value) {
      const int id = value.node()->id();
      if (is_free(id) && has_shape(id, shape) && !is_stored_anyway(value, shape)) {
        pending.insert(id);
      }
    };
    for (const Value& input : units_.inputs(reduction)) offer(input);
    while (!pending.empty() && copies.size() < longer * kMaxPrologue) {
      const int id = *pending.begin();
      pending.erase(pending.begin());
      const double cost = flops_per_element(units_.node(id));
      if (flops + cost > longer * kMaxPrologueFlops) continue;
      flops += cost;
      copies.insert(id);
      for (const Value& input : units_.inputs(id)) offer(input);
    }
    UnitClosure prologue{{copies.begin(), copies.end()}, {}};
    int reads = 0;
    const auto collect = [&](const Value& input) {
      if (copies.contains(input.node()->id())) return;
      if (std::ranges::find(prologue.leaves, input) != prologue.leaves.end()) return;
      prologue.leaves.push_back(input);
      reads += input.shape() == shape ? 1 : 0;
    };
    for (const Value& input : units_.inputs(reduction)) collect(input);
    for (const int id : copies) {
      for (const Value& input : units_.inputs(id)) collect(input);
    }
    if (reads > kMaxPrologueReads) return {};
    return prologue;
  }

  void take_prologue(int id) {
    const int stored = is_throughput() ? store_shared(id, find_prologue(id)) : -1;
    UnitClosure prologue = find_prologue(id);
    if (!prologue.copies.empty() && is_accepted(prologue.copies, id)) {
      context_.statistics["fuse.recomputed"] += std::ssize(prologue.copies);
      units_.set_copies(id, prologue.copies, std::move(prologue.leaves));
    }
    if (stored >= 0) units_.merge(units_.unit_of(stored), units_.unit_of(id));
    join_like_reduction(id);
  }

  void join_like_reduction(int id) {
    const Node& node = units_.node(id);
    if (node.op().attr_index("axes") < 0) return;
    std::string key = node.input_type(0).to_string();
    for (const int axis : reduced_axes(node)) key += fmt::format(",{}", axis);
    std::vector<int>& recent = recent_reductions_[key];
    const Shape& shape = node.input_type(0).shape;
    for (auto it = recent.rbegin(); it != recent.rend(); ++it) {
      const int u = units_.unit_of(*it);
      if (units_.unit(u).members.size() >= kMaxMembers || !reads_common(u, id, shape)) continue;
      if (depends_on(id, u)) continue;
      std::vector<int> all = units_.all_of(u);
      const std::vector<int> own = units_.all_of(units_.unit_of(id));
      std::vector<int> region;
      std::ranges::set_union(all, own, std::back_inserter(region));
      if (is_accepted(region, id) && units_.merge(u, units_.unit_of(id))) return;
    }
    recent.push_back(id);
    if (recent.size() > kRecentUnits) recent.erase(recent.begin());
  }

  void join_like_composite(int id) {
    const Node& node = units_.node(id);
    if (node.inputs().size() < 2 || !is_producer(node) || !units_.is_alone(id)) return;
    const std::vector<int> users(units_.users(node.input(0).node()->id()).begin(),
                                 units_.users(node.input(0).node()->id()).end());
    for (const int other : users) {
      if (other >= id) return;
      const Node& before = units_.node(other);
      if (!before.op().traits.composite || !is_producer(before) || !units_.is_alone(other))
        continue;
      if (before.inputs().size() < 2 || before.input(0) != node.input(0) ||
          before.input(1) != node.input(1)) {
        continue;
      }
      const std::vector<int> region{other};
      if (is_accepted(region, id) && units_.merge(units_.unit_of(other), units_.unit_of(id))) {
        return;
      }
    }
  }

  /// Reductions of one Region run side by side, over one walk through the operands: they may read
  /// elementwise members, but no reduction nor what is made of one.
  [[nodiscard]] bool depends_on(int id, int u) const {
    return std::ranges::any_of(units_.inputs(id), [&](const Value& input) {
      const int from = input.node()->id();
      if (units_.unit_of(from) != u) return false;
      return !is_throughput() || is_reduction(units_.node(from)) || depends_on(from, u);
    });
  }

  [[nodiscard]] bool reads_common(int u, int id, const Shape& shape) const {
    return std::ranges::any_of(units_.inputs(id), [&](const Value& leaf) {
      return leaf.shape() == shape && std::ranges::any_of(units_.unit(u).members, [&](int other) {
               return units_.is_user(other, leaf);
             });
    });
  }

  /// A reduction of what another unit stores runs with it, while the Value is at hand.
  void join_maker(int id) {
    const int own = units_.unit_of(id);
    const Shape& shape = units_.node(id).input_type(0).shape;
    std::set<int> makers;
    for (const Value& input : units_.inputs(id)) {
      const int from = input.node()->id();
      if (input.shape() == shape && is_pointwise(units_.node(from))) {
        makers.insert(units_.unit_of(from));
      }
    }
    for (const int u : makers) {
      if (u == own) continue;
      std::vector<int> region;
      std::ranges::set_union(units_.all_of(u), units_.all_of(own), std::back_inserter(region));
      if (region.size() > kMaxMembers || !is_accepted(region, id)) continue;
      if (units_.merge(u, own)) return;
    }
  }

  /// What reads a Value other than through Nodes of `copies`, and keeps it: not reductions, nor
  /// what they alone read.
  void add_keepers(int id, const std::vector<int>& copies, std::set<int>& keepers) const {
    for (const int user : units_.users(id)) {
      if (std::ranges::binary_search(copies, user)) {
        add_keepers(user, copies, keepers);
        continue;
      }
      const auto reduces = [&](int reader) { return is_reduction(units_.node(reader)); };
      const auto readers = units_.users(user);
      const bool only_reduced =
          reduces(user) || (!readers.empty() && std::ranges::all_of(readers, reduces));
      if (!only_reduced) keepers.insert(user);
    }
  }

  /// Nodes of `copies` that a Value is made of, itself included, and how many Values of its shape
  /// they read.
  std::pair<std::set<int>, int> makers_of(int id, const std::vector<int>& copies) const {
    std::set<int> makers;
    std::vector<Value> reads;
    std::vector<int> pending{id};
    while (!pending.empty()) {
      const int at = pending.back();
      pending.pop_back();
      if (!makers.insert(at).second) continue;
      for (const Value& input : units_.inputs(at)) {
        if (std::ranges::binary_search(copies, input.node()->id())) {
          pending.push_back(input.node()->id());
        } else if (has_shape(id, input.shape()) && std::ranges::find(reads, input) == reads.end()) {
          reads.push_back(input);
        }
      }
    }
    return {std::move(makers), static_cast<int>(reads.size())};
  }

  /// The rule 7: makes one unit of what gives a Value that the reduction's unit is to store.
  /// Returns the Value's Node, -1: there is none.
  int store_shared(int reduction, const UnitClosure& prologue) {
    std::size_t narrowest = sizeof(double);
    for (const Value& leaf : prologue.leaves) {
      if (leaf.shape() != units_.node(reduction).input_type(0).shape) continue;
      narrowest = std::min(narrowest, dtype_size(leaf.dtype()));
    }
    for (auto it = prologue.copies.rbegin(); it != prologue.copies.rend(); ++it) {
      if (dtype_size(units_.node(*it).output_type().dtype) > narrowest) continue;
      std::set<int> keepers;
      add_keepers(*it, prologue.copies, keepers);
      const auto [makers, reads] = makers_of(*it, prologue.copies);
      // Against a write here and a read of each keeper, its reads there and those here.
      const bool pays = (keepers.size() >= 2 && reads >= 2) || (keepers.size() == 1 && reads >= 3);
      if (!pays) continue;
      std::vector<int> region(makers.begin(), makers.end());
      if (!is_accepted(region, reduction)) return -1;
      for (const int maker : makers) {
        if (maker != *it && !units_.merge(units_.unit_of(*it), units_.unit_of(maker))) return -1;
      }
      ++context_.statistics["fuse.stored"];
      return *it;
    }
    return -1;
  }

  /// Says why an elementwise Node is a kernel of its own.
  void trace_alone(int id) {
    ++context_.statistics["fuse.alone"];
    if (!trace_enabled(Channel::dispatch)) return;
    const Node& node = units_.node(id);
    const auto refusal = refusals_.find(id);
    trace(Channel::dispatch,
          fmt::format("fuse: {} \"{}\" {} stays alone: {}", node.op().name, node.name(),
                      node.output_type().to_string(),
                      refusal != refusals_.end() ? refusal->second
                                                 : "no neighbour of its shape would store less"));
  }

  std::unique_ptr<Graph> emit() {
    Rewriter rewriter(graph_);
    for (const int u : units_.order()) {
      const FusionUnit& unit = units_.unit(u);
      if (unit.members.size() + unit.copies.size() > 1) {
        emit_region(rewriter, units_, u);
        ++context_.statistics["fuse.regions"];
        context_.statistics["fuse.members"] += std::ssize(unit.members);
        continue;
      }
      const Node& node = units_.node(unit.members.front());
      if (rewriter.done(node)) continue;
      rewriter.clone(node);
      if (is_pointwise(node)) trace_alone(unit.members.front());
    }
    return rewriter.finish();
  }

  const Graph& graph_;
  PassContext& context_;
  FusionUnits units_;
  std::map<std::string, std::vector<int>> recent_reductions_;
  std::map<int, std::string> refusals_;  ///< the target's last word on a Node
};

}  // namespace

std::unique_ptr<Graph> fuse(const Graph& graph, PassContext& context) {
  return Fuser(graph, context).run();
}

}  // namespace ingot
