// Depth-first batch slices. Nodes that treat the items of a batch apart, forwards and backwards
// alike, become the body of a Region that takes one slice of the batch after another through all of
// them, so that what lies between them stays in a core's cache. Sums over the batch (gradients of
// weights and biases, losses) end in one term for each group of slices, added up in order.
//
// A Region runs at one time, so its Nodes must not wait for one outside that waits for the Region.
// Each Node has a stage: a separable one that of its operands, an outside one the stage after that
// of the separable Nodes it reads. Separable Nodes of one stage form a Region.
#include <fmt/core.h>

#include <algorithm>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ingot/base/trace.h"
#include "ingot/ir/batch.h"
#include "ingot/ir/body.h"
#include "ingot/ir/core_ops.h"
#include "ingot/passes/batch_axes.h"
#include "ingot/passes/body_builder.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"
#include "ingot/passes/slice_model.h"

namespace ingot {
namespace {

void say(const std::string& text) { trace(Channel::regions, "batch_slices: " + text); }

/// The separable Nodes of one stage, and the Region that they make.
struct SliceRegion {
  std::vector<const Node*> nodes;
  std::int64_t items = 0;  ///< of a slice; 0: no Region
  BodyBuilder body;
  std::vector<Value> results;
  std::vector<const Node*> views;  ///< of results, made again outside
  bool emitted = false;
};

class Slicer {
 public:
  Slicer(const Graph& graph, PassContext& context)
      : graph_(graph), context_(context), batch_(find_batch(graph)), uses_(find_uses(graph)) {
    for (const Fetch& fetch : graph.fetches()) fetched_.insert(fetch.value);
  }

  std::unique_ptr<Graph> run() {
    if (batch_.items < 2) return clone_graph(graph_);
    drop_what_is_better_whole();
    do {
      find_stages();
      regions_.clear();
      for (const auto& node : graph_.nodes()) {
        if (!batch(*node).separable) continue;
        const auto own = static_cast<std::size_t>(stage(*node));
        if (regions_.size() <= own) regions_.resize(own + 1);
        regions_[own].nodes.push_back(node.get());
      }
    } while (!make_regions());
    const bool any = std::ranges::any_of(regions_, [](const auto& r) { return r.items > 0; });
    return any ? emit() : clone_graph(graph_);
  }

 private:
  [[nodiscard]] NodeBatch& batch(const Node& node) {
    return batch_.nodes[static_cast<std::size_t>(node.id())];
  }
  [[nodiscard]] int& stage(const Node& node) {
    return stages_[static_cast<std::size_t>(node.id())];
  }
  [[nodiscard]] bool is_inside(const Node& node, int region) {
    return batch(node).separable && stage(node) == region;
  }

  void leave_outside(const Node& node, std::string reason) {
    NodeBatch& own = batch(node);
    own.separable = false;
    own.reason = std::move(reason);
    if (trace_enabled(Channel::regions)) {
      say(fmt::format("{} \"{}\" stays outside: {}", node.op().name, node.name(), own.reason));
    }
  }

  void drop_what_is_better_whole() {
    for (const auto& node : graph_.nodes()) {
      NodeBatch& own = batch(*node);
      std::string reason = own.reason;
      if (own.separable) reason = better_whole(*node, own, batch_.items, context_.target.caches());
      if (!reason.empty()) leave_outside(*node, std::move(reason));
    }
  }

  void find_stages() {
    stages_.assign(graph_.size(), 0);
    for (const auto& node : graph_.nodes()) {
      int own = 0;
      for (const Value& input : node->inputs()) {
        const Node& maker = *input.node();
        // A sum is whole only when its Region has run.
        const bool follows =
            batch(maker).separable && batch(*node).separable &&
            batch(maker).outputs[static_cast<std::size_t>(input.index())].kind == BatchKind::kept;
        own = std::max(own, stage(maker) + (batch(maker).separable && !follows ? 1 : 0));
      }
      stage(*node) = own;
    }
  }

  /// False when a Node turned out to have no kernel for slices, so that all begins anew.
  bool make_regions() {
    for (int r = 0; r < static_cast<int>(regions_.size()); ++r) {
      if (!make_region(regions_[static_cast<std::size_t>(r)], r)) return false;
    }
    return true;
  }

  [[nodiscard]] bool is_read_outside(const Value& value, int region) {
    const auto& uses = uses_[static_cast<std::size_t>(value.node()->id())];
    return fetched_.contains(value) || std::ranges::any_of(uses, [&](const Use& use) {
             return use.node->input(static_cast<std::size_t>(use.operand)) == value &&
                    !is_inside(*use.node, region);
           });
  }

  /// What the Region must leave behind. A view costs nothing outside, so what it views is left.
  void find_results(SliceRegion& region, int number) {
    std::unordered_set<Value, ValueHash> viewed;
    for (auto it = region.nodes.rbegin(); it != region.nodes.rend(); ++it) {
      const Node& node = **it;
      const bool view = is_view(node);
      for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
        const Value value{const_cast<Node*>(&node), i};
        if (!viewed.contains(value) && !is_read_outside(value, number)) continue;
        if (view) {
          region.views.push_back(&node);
          viewed.insert(node.input(0));
        } else {
          region.results.push_back(value);
        }
      }
    }
    std::ranges::reverse(region.results);
    std::ranges::reverse(region.views);
  }

  /// For each byte that a Node leaves to others of the Region alone, or that dispatches are worth.
  [[nodiscard]] static double flops_per_byte(const SliceRegion& region) {
    const std::unordered_set<Value, ValueHash> results(region.results.begin(),
                                                       region.results.end());
    double flops = 0;
    double bytes = -static_cast<double>(kDispatchBytes);
    for (const Node* node : region.nodes) {
      flops += total_flops(*node);
      if (is_view(*node)) continue;
      bytes += static_cast<double>(kDispatchBytes);
      for (int i = 0; i < static_cast<int>(node->outputs().size()); ++i) {
        const Value value{const_cast<Node*>(node), i};
        if (!results.contains(value)) {
          bytes += static_cast<double>(value.layout().physical_bytes(value.type()));
        }
      }
    }
    return flops / std::max(bytes, 1.0);
  }

  void build_body(SliceRegion& region) {
    std::unordered_set<const Node*> needed;
    for (const Value& result : region.results) needed.insert(result.node());
    for (auto it = region.nodes.rbegin(); it != region.nodes.rend(); ++it) {
      if (!needed.contains(*it)) continue;
      for (const Value& input : (*it)->inputs()) needed.insert(input.node());
    }
    for (const Node* node : region.nodes) {
      if (needed.contains(node)) region.body.add(*node, batch(*node).input_axes);
    }
    for (const Value& result : region.results) region.body.fetch(result);
  }

  bool make_region(SliceRegion& region, int number) {
    const auto kernels =
        std::ranges::count_if(region.nodes, [](const Node* node) { return !is_view(*node); });
    if (kernels < 2) return true;
    const CacheSizes caches = context_.target.caches();
    const SliceBytes bytes = slice_bytes(region.nodes, batch_);
    if (bytes.item + bytes.fixed > static_cast<double>(caches.l2)) {
      if (trace_enabled(Channel::regions)) {
        say(
            fmt::format("{} kernels from \"{}\" on run one by one: an item takes {:.1f} KiB and "
                        "its weights {:.1f} KiB of the L2's {} KiB",
                        kernels, region.nodes.front()->name(), bytes.item / 1024,
                        bytes.fixed / 1024, caches.l2 >> 10));
      }
      return true;
    }
    find_results(region, number);
    if (const double intensity = flops_per_byte(region); intensity > kMostFlopsPerByte) {
      if (trace_enabled(Channel::regions)) {
        say(
            fmt::format("{} kernels from \"{}\" on run one by one: {:.0f} flops for each byte "
                        "saved",
                        kernels, region.nodes.front()->name(), intensity));
      }
      return true;
    }
    const std::int64_t items = choose_items(batch_.items, bytes, caches);
    if (!outweighs_calls(region.nodes, batch_.items / items)) {
      if (trace_enabled(Channel::regions)) {
        say(
            fmt::format("{} kernels from \"{}\" on run one by one: too little work for calls of "
                        "{} slices",
                        kernels, region.nodes.front()->name(), batch_.items / items));
      }
      return true;
    }
    build_body(region);
    if (!supports_slices(region, items)) return false;
    region.items = items;
    if (trace_enabled(Channel::regions)) {
      const auto sums = std::ranges::count_if(
          region.results, [this](const Value& value) { return axis_of(value) < 0; });
      say(fmt::format(
          "{} kernels from \"{}\" on in {} slices of {}: an item takes {:.1f} KiB and "
          "its weights {:.1f} KiB of the L2's {} KiB; {} results, {} of them sums",
          kernels, region.nodes.front()->name(), batch_.items / items, items, bytes.item / 1024,
          bytes.fixed / 1024, caches.l2 >> 10, region.results.size(), sums));
    }
    return true;
  }

  [[nodiscard]] int axis_of(const Value& value) {
    return batch(*value.node()).outputs[static_cast<std::size_t>(value.index())].axis;
  }

  /// Nodes that have no kernel for a slice leave.
  bool supports_slices(SliceRegion& region, std::int64_t items) {
    const auto slice = rebatch(region.body.graph(), region.body.operand_axes(), items);
    bool all = true;
    for (const auto& node : slice->nodes()) {
      if (node->op().traits.source || is_view(*node)) continue;
      const Support support = context_.target.supports(*node);
      if (support) continue;
      leave_outside(*graph_.find(node->name()), support.reason);
      all = false;
    }
    return all;
  }

  std::unique_ptr<Graph> emit() {
    std::vector<const Node*> order;
    for (const auto& node : graph_.nodes()) order.push_back(node.get());
    // Outside Nodes of a stage, then its Region.
    std::ranges::stable_sort(order, {}, [this](const Node* node) {
      return 2 * stage(*node) + (batch(*node).separable ? 1 : 0);
    });
    Rewriter rewriter(graph_);
    for (const Node* node : order) {
      if (rewriter.done(*node)) continue;
      SliceRegion* region =
          batch(*node).separable ? &regions_[static_cast<std::size_t>(stage(*node))] : nullptr;
      if (region == nullptr || region->items == 0) {
        rewriter.clone(*node);
      } else if (!std::exchange(region->emitted, true)) {
        emit_region(rewriter, *region);
      }
    }
    return rewriter.finish();
  }

  void emit_region(Rewriter& rewriter, SliceRegion& region) {
    std::vector<Value> operands;
    for (const Value& operand : region.body.operands()) operands.push_back(rewriter.map(operand));
    const std::vector<int>& axes = region.body.operand_axes();
    std::vector<std::int64_t> result_axes;
    for (const Value& result : region.results) result_axes.push_back(axis_of(result));
    const Graph::OriginScope scope = rewriter.graph().with_origin(region.nodes.front()->origin());
    Node* node = rewriter.graph().add_region(
        batch_slices_op(), std::move(operands), region.body.take(),
        {{"items", region.items},
         {"groups", std::min(batch_.items / region.items, kMaxGroups)},
         {"operand_axes", std::vector<std::int64_t>(axes.begin(), axes.end())},
         {"result_axes", std::move(result_axes)}});
    for (std::size_t i = 0; i < region.results.size(); ++i) {
      rewriter.replace(region.results[i], node->output(static_cast<int>(i)));
    }
    for (const Node* view : region.views) rewriter.clone(*view);
    ++context_.statistics["batch_slices.regions"];
    context_.statistics["batch_slices.members"] += std::ssize(region.nodes);
  }

  const Graph& graph_;
  PassContext& context_;
  GraphBatch batch_;
  std::vector<std::vector<Use>> uses_;
  std::unordered_set<Value, ValueHash> fetched_;
  std::vector<int> stages_;  // by Node id
  std::vector<SliceRegion> regions_;
};

}  // namespace

std::unique_ptr<Graph> batch_slices(const Graph& graph, PassContext& context) {
  return context.target.slices_batches() ? Slicer(graph, context).run() : clone_graph(graph);
}

}  // namespace ingot
