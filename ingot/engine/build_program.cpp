#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <utility>

#include "ingot/base/error.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/ir/body.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/passes/pass_manager.h"
#include "ingot/passes/weight_copies.h"
#include "ingot/planner/checker.h"
#include "ingot/planner/launch_memory.h"
#include "ingot/planner/plan.h"
#include "ingot/planner/report.h"
#include "ingot/runtime/workspace_owners.h"

namespace ingot {
namespace {

constexpr std::size_t kLargestOwners = 10;

bool is_source(const Node& node) { return node.op().traits.source; }

class Builder {
 public:
  Builder(std::unique_ptr<Graph> graph, const Backend& backend) : backend_(backend) {
    p_.graph = std::move(graph);
  }

  Program run() {
    run_step("choose_kernels", *p_.graph, [this] {
      make_slots();
      choose_commit_nodes();
      make_launches();
    });
    run_step("plan_memory", *p_.graph, [this] { plan_memory(); });
    count();
    return std::move(p_);
  }

 private:
  void plan_memory() {
    make_feeds_and_fetches();
    share_variables();
    find_lifetimes();
    plan();
  }

  Slot& slot(int i) { return p_.slots[static_cast<std::size_t>(i)]; }

  void make_slots() {
    for (const auto& node : p_.graph->nodes()) {
      p_.first_slot.push_back(static_cast<int>(p_.slots.size()));
      for (std::size_t i = 0; i < node->outputs().size(); ++i) {
        Slot slot;
        slot.value = node->output(static_cast<int>(i));
        slot.root = static_cast<int>(p_.slots.size());
        if (&node->op() == &placeholder_op()) slot.storage = Slot::Storage::feed;
        if (&node->op() == &variable_op()) slot.storage = Slot::Storage::variable;
        if (&node->op() == &constant_op()) slot.storage = Slot::Storage::constant;
        if (is_view(*node)) {
          slot.root = p_.root_of(p_.slot_of(node->input(0)));
          slot.storage = this->slot(slot.root).storage;
        }
        p_.slots.push_back(slot);
      }
    }
  }

  /// Nodes whose results go to variables alone run last, so that a step can be called off before
  /// any variable changes, and so that they may overwrite the variables in place.
  void choose_commit_nodes() {
    const auto nodes = p_.graph->nodes();
    commits_.assign(nodes.size(), false);
    for (const auto& node : nodes) {
      if (&node->op() != &assign_op()) continue;
      const Node& producer = *node->input(1).node();
      if (!is_source(producer) && !is_view(producer)) {
        commits_[static_cast<std::size_t>(producer.id())] = true;
      }
    }
    // A consumer comes after its producer, so one pass from the end settles chains.
    std::vector<bool> read_early(nodes.size(), false);
    for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
      const Node& node = **it;
      const auto id = static_cast<std::size_t>(node.id());
      if (read_early[id]) commits_[id] = false;
      if (&node.op() == &assign_op() && node.inputs().size() < 3) continue;
      if (commits_[id]) continue;
      for (const Value& input : node.inputs()) {
        read_early[static_cast<std::size_t>(input.node()->id())] = true;
      }
    }
  }

  void make_launches() {
    for (const auto& node : p_.graph->nodes()) {
      if (is_source(*node) || is_view(*node) || &node->op() == &assign_op()) continue;
      Launch launch;
      launch.node = node.get();
      for (const Value& input : node->inputs()) launch.inputs.push_back(p_.slot_of(input));
      for (std::size_t i = 0; i < node->outputs().size(); ++i) {
        launch.outputs.push_back(p_.slot_of(node->output(static_cast<int>(i))));
      }
      launch.kernel = backend_.create_kernel({*node, launch.inputs, launch.outputs});
      auto& list = commits_[static_cast<std::size_t>(node->id())] ? p_.commit
                   : is_kept(launch)                              ? p_.refresh
                                                                  : p_.main;
      list.push_back(std::move(launch));
    }
    for (const Launch& launch : p_.refresh) keep_copies(*launch.node);
    snapshot_position_ = static_cast<int>(p_.main.size());
    end_position_ = snapshot_position_ + 1 + static_cast<int>(p_.commit.size());
  }

  /// Whether the launch's results are there when a step begins, unless a variable was written from
  /// outside: nobody reads them once the end of the step may have overwritten them.
  [[nodiscard]] bool is_kept(const Launch& launch) {
    const Node& node = *launch.node;
    if (&node.op() != &weight_copies_op() || launch.kernel->scratch_bytes() > 0) return false;
    for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
      const Value copy{const_cast<Node*>(&node), i};
      const Node& variable = copied_variable(copy);
      if (copy.layout() != variable.outputs()[0].layout || read_late(p_.slot_of(copy)))
        return false;
      if (p_.graph->assign_of(variable.name()) == nullptr) continue;
      const Value next = copy_after_step(copy);
      if (!next.valid() || !commits_[static_cast<std::size_t>(next.node()->id())]) return false;
    }
    return true;
  }

  [[nodiscard]] bool read_late(int root) {
    const auto is_read = [&](const Value& value) { return p_.root_of(p_.slot_of(value)) == root; };
    for (const Fetch& fetch : p_.graph->fetches()) {
      if (is_read(fetch.value)) return true;
    }
    return std::ranges::any_of(p_.graph->nodes(), [&](const auto& node) {
      const bool late =
          &node->op() == &assign_op() || commits_[static_cast<std::size_t>(node->id())];
      return late && std::ranges::any_of(node->inputs(), is_read);
    });
  }

  /// Gives the results, their views and what the update makes of them the copies' memory.
  void keep_copies(const Node& node) {
    for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
      const Value copy{const_cast<Node*>(&node), i};
      const int root = p_.slot_of(copy);
      if (const Value next = copy_after_step(copy); next.valid())
        slot(p_.slot_of(next)).root = root;
      slot(root).offset = static_cast<std::int64_t>(p_.kept.size());
      p_.kept.push_back({root, copied_variable(copy).name(), copy.dtype()});
      for (int other = 0; other < static_cast<int>(p_.slots.size()); ++other) {
        if (p_.root_of(other) == root) slot(other).storage = Slot::Storage::copy;
      }
    }
  }

  /// A slot that keeps the value the variable had at the start of the step.
  int snapshot(int variable_slot) {
    const auto known = snapshots_.find(variable_slot);
    if (known != snapshots_.end()) return known->second;
    Slot copy = slot(variable_slot);
    copy.storage = Slot::Storage::scratch;
    const int index = static_cast<int>(p_.slots.size());
    copy.root = index;
    p_.slots.push_back(copy);
    p_.snapshots.push_back({variable_slot, index, -1});
    snapshots_.emplace(variable_slot, index);
    return index;
  }

  [[nodiscard]] bool is_assigned_variable(int root) {
    const Slot& s = slot(root);
    return s.storage == Slot::Storage::variable &&
           p_.graph->assign_of(s.value.node()->name()) != nullptr;
  }

  void make_feeds_and_fetches() {
    for (const auto& node : p_.graph->nodes()) {
      if (&node->op() != &placeholder_op()) continue;
      BoundFeed feed{node->name(), node->output_type(), p_.slot_of(node->output()), {}};
      for (int i = 0; i < static_cast<int>(p_.slots.size()); ++i) {
        if (p_.root_of(i) == feed.slot) feed.slots.push_back(i);
      }
      p_.feeds.push_back(std::move(feed));
    }
    int ring_index = 0;
    for (const Fetch& fetch : p_.graph->fetches()) {
      int index = p_.slot_of(fetch.value);
      if (is_assigned_variable(p_.root_of(index))) index = snapshot(index);
      const bool scalar = fetch.value.shape().rank() == 0;
      p_.fetches.push_back({fetch.name, index, scalar ? ring_index++ : -1});
    }
    for (const auto& node : p_.graph->nodes()) {
      if (&node->op() != &assign_op()) continue;
      SlotCopy copy{p_.slot_of(node->input(1)), p_.slot_of(node->input(0)), -1};
      if (node->inputs().size() > 2) copy.predicate = p_.slot_of(node->input(2));
      if (is_assigned_variable(p_.root_of(copy.from))) copy.from = snapshot(copy.from);
      p_.copies.push_back(copy);
    }
  }

  /// Whether a launch after `position` in the commit phase, or the launch itself through another
  /// operand than `operand`, reads the slot's memory.
  [[nodiscard]] bool read_elsewhere(int root, std::size_t position, std::size_t operand) {
    for (std::size_t k = position; k < p_.commit.size(); ++k) {
      const Launch& launch = p_.commit[k];
      for (std::size_t i = 0; i < launch.inputs.size(); ++i) {
        if (k == position && i == operand) continue;
        if (p_.root_of(launch.inputs[i]) == root) return true;
      }
    }
    return false;
  }

  /// Lets commit launches write straight into the variables.
  void share_variables() {
    std::unordered_map<int, std::size_t> copy_from;
    for (std::size_t c = 0; c < p_.copies.size(); ++c) {
      if (p_.copies[c].predicate < 0) copy_from.emplace(p_.copies[c].from, c);
    }
    std::vector<bool> done(p_.copies.size(), false);
    for (std::size_t k = 0; k < p_.commit.size(); ++k) {
      Launch& launch = p_.commit[k];
      for (std::size_t j = 0; j < launch.outputs.size(); ++j) {
        const auto it = copy_from.find(launch.outputs[j]);
        if (it == copy_from.end() || done[it->second]) continue;
        const int variable = p_.copies[it->second].to;
        if (slot(launch.outputs[j]).value.layout() != slot(variable).value.layout()) continue;
        for (std::size_t i = 0; i < launch.inputs.size(); ++i) {
          if (launch.inputs[i] != variable ||
              !launch.kernel->in_place(static_cast<int>(i), static_cast<int>(j)) ||
              read_elsewhere(variable, k, i)) {
            continue;
          }
          slot(launch.outputs[j]).root = variable;
          slot(launch.outputs[j]).storage = Slot::Storage::variable;
          done[it->second] = true;
          break;
        }
      }
    }
    std::vector<SlotCopy> rest;
    for (std::size_t c = 0; c < p_.copies.size(); ++c) {
      if (!done[c]) rest.push_back(p_.copies[c]);
    }
    p_.copies = std::move(rest);
  }

  /// Lifetimes, and launches that overwrite an operand which nobody reads afterwards.
  void find_lifetimes() {
    std::vector<LaunchValue> values;
    for (const Slot& s : p_.slots) {
      values.push_back({s.bytes(), s.root, s.storage == Slot::Storage::scratch});
    }
    std::vector<LaunchUse> uses;
    std::vector<Kernel*> kernels;
    for_each_launch([&](Launch& launch, int position) {
      for (const int i : launch.outputs) use_value(values, i, position);
      for (const int i : launch.inputs) use_value(values, i, position);
      uses.push_back({launch.inputs, launch.outputs, position});
      kernels.push_back(launch.kernel.get());
    });
    for (const SlotCopy& copy : p_.snapshots) use_value(values, copy.to, snapshot_position_);
    for (const BoundFetch& fetch : p_.fetches) use_value(values, fetch.slot, end_position_);
    for (const SlotCopy& copy : p_.copies) {
      use_value(values, copy.from, end_position_);
      if (copy.predicate >= 0) use_value(values, copy.predicate, end_position_);
    }
    const auto keep = [&] {
      for (std::size_t i = 0; i < values.size(); ++i) {
        p_.slots[i].root = values[i].root;
        p_.slots[i].first = values[i].first;
        p_.slots[i].last = values[i].last;
      }
    };
    keep();
    if (!backend_.reuses_memory(scratch_total())) return live_throughout();
    share_memory(values, uses, [&](std::size_t launch, int input, int output) {
      return kernels[launch]->in_place(input, output);
    });
    keep();
  }

  template <typename Fn>
  void for_each_launch(Fn&& fn) {
    int position = 0;
    for (Launch& launch : p_.main) fn(launch, position++);
    ++position;  // the snapshots
    for (Launch& launch : p_.commit) fn(launch, position++);
  }

  /// What the scratch slots take without any sharing.
  std::int64_t scratch_total() {
    std::int64_t total = 0;
    for (std::size_t i = 0; i < p_.slots.size(); ++i) {
      const Slot& s = p_.slots[i];
      const bool owns = s.storage == Slot::Storage::scratch && s.root == static_cast<int>(i);
      if (owns && s.first >= 0) total += s.bytes();
    }
    return total;
  }

  /// No memory is used twice in a step.
  void live_throughout() {
    workspaces_live_ = true;
    for (Slot& s : p_.slots) {
      if (s.first < 0 || s.storage != Slot::Storage::scratch) continue;
      s.first = 0;
      s.last = end_position_;
    }
  }

  void plan() {
    const auto alignment = static_cast<std::int64_t>(backend_.alignment());
    for (std::size_t i = 0; i < p_.slots.size(); ++i) {
      Slot& s = p_.slots[i];
      if (s.storage != Slot::Storage::constant || s.root != static_cast<int>(i)) continue;
      s.offset = p_.constant_bytes;
      p_.constant_bytes += (s.bytes() + alignment - 1) / alignment * alignment;
    }
    PlanRequest request;
    request.alignment = alignment;
    std::vector<std::int64_t*> targets;
    for (std::size_t i = 0; i < p_.slots.size(); ++i) {
      Slot& s = p_.slots[i];
      const bool owns = s.storage == Slot::Storage::scratch && s.root == static_cast<int>(i);
      if (!owns || s.first < 0) continue;
      const int last = std::min(s.last + backend_.lag(), std::max(s.last, end_position_));
      request.buffers.push_back({s.bytes(), s.first, last, s.value.node()->name()});
      targets.push_back(&s.offset);
    }
    for_each_launch([&](Launch& launch, int position) {
      const std::int64_t bytes = launch.kernel->scratch_bytes();
      if (bytes == 0) return;
      const int last = std::min(position + backend_.lag(), end_position_);
      request.buffers.push_back({bytes, workspaces_live_ ? 0 : position,
                                 workspaces_live_ ? end_position_ : last, workspace_name(launch)});
      targets.push_back(&launch.scratch_offset);
    });
    const Plan plan = make_plan(request);
    verify_plan(request, plan);
    for (std::size_t i = 0; i < targets.size(); ++i) *targets[i] = plan.offsets[i];
    p_.arena_bytes = plan.arena_bytes;
    p_.stats.arena_bytes = plan.arena_bytes;
    p_.stats.live_peak_bytes = plan.live_peak_bytes;
    p_.stats.largest = largest(request);
  }

  /// The ten largest owners when the arena is fullest; of a workspace that its kernel plans itself,
  /// those inside.
  std::vector<MemoryOwner> largest(const PlanRequest& request) {
    std::unordered_map<std::string, std::vector<MemoryOwner>> inside;
    for_each_launch([&](Launch& launch, int) {
      const auto* const planned = dynamic_cast<const WorkspaceOwners*>(launch.kernel.get());
      if (planned != nullptr) inside[workspace_name(launch)] = planned->workspace_owners();
    });
    std::vector<MemoryOwner> all;
    for (const OwnerBytes& owner : largest_owners(request, request.buffers.size())) {
      std::int64_t rest = owner.bytes;
      if (const auto it = inside.find(owner.owner); it != inside.end()) {
        for (const MemoryOwner& part : it->second) {
          all.push_back({fmt::format("{}, in {}", part.name, owner.owner), part.bytes});
          rest -= part.bytes;
        }
      }
      if (rest > 0) all.push_back({owner.owner, rest});
    }
    std::ranges::stable_sort(all, std::greater{}, &MemoryOwner::bytes);
    if (all.size() > kLargestOwners) all.resize(kLargestOwners);
    return all;
  }

  static std::string workspace_name(const Launch& launch) {
    return launch.node->name() + " (workspace)";
  }

  void count() {
    ProgramStats& stats = p_.stats;
    stats.constant_bytes = p_.constant_bytes;
    const auto count_kernel = [&stats](const Node& node, const Kernel& kernel) {
      ++stats.kernels;
      stats.reorders += &node.op() == &reorder_op() ? 1 : 0;
      stats.elementwise_kernels += node.op().traits.elementwise ? 1 : 0;
      stats.kernel_names.push_back(
          fmt::format("{} \"{}\": {}", node.op().name, node.name(), kernel.name()));
    };
    for_each_launch([&](Launch& launch, int) {
      stats.flops += total_flops(*launch.node);
      for (const int s : launch.inputs) stats.bytes_moved += slot(s).bytes();
      for (const int s : launch.outputs) stats.bytes_moved += slot(s).bytes();
      const std::vector<InnerKernel> inner = launch.kernel->inner();
      if (inner.empty()) return count_kernel(*launch.node, *launch.kernel);
      for (const InnerKernel& each : inner) count_kernel(*each.node, *each.kernel);
    });
    for (const auto& node : p_.graph->nodes()) {
      if (&node->op() != &variable_op()) continue;
      stats.variable_bytes += node->outputs()[0].layout.physical_bytes(node->output_type());
    }
  }

  const Backend& backend_;
  Program p_;
  std::vector<bool> commits_;  // by node id
  std::unordered_map<int, int> snapshots_;
  int snapshot_position_ = 0;
  int end_position_ = 0;
  bool workspaces_live_ = false;
};

}  // namespace

Program build_program(std::unique_ptr<Graph> lowered, const Backend& backend, StepForm form) {
  Program program = Builder(std::move(lowered), backend).run();
  program.form = form;
  return program;
}

}  // namespace ingot
