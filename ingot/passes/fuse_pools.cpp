// A pool joins what makes its operand, a convolution with its epilogue or an elementwise chain, in
// one Region: the images are pooled as they are made, while they are in the cache. What others read
// of them, the backward pass mostly, is stored by the Region; what the pool alone reads never is.
//
// It runs when layouts are known, so that the target can say whether it has a kernel, and before
// batch slices, whose bodies hold such Regions as they hold others. A pool's one operand is made by
// the Node that it joins, so that no join can make a cycle.
#include <fmt/core.h>

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ingot/base/trace.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/pool2d.h"
#include "ingot/passes/body_builder.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"

namespace ingot {
namespace {

class PoolFuser {
 public:
  PoolFuser(const Graph& graph, PassContext& context)
      : graph_(graph), context_(context), uses_(find_uses(graph)) {
    for (const Fetch& fetch : graph.fetches()) fetched_.insert(fetch.value);
  }

  std::unique_ptr<Graph> run() {
    for (const auto& node : graph_.nodes()) {
      if (is_pool2d(*node)) consider(*node);
    }
    return rewrite(graph_, [this](Rewriter& rewriter, const Node& node) {
      const auto pool = pools_.find(&node);
      if (pool == pools_.end()) {
        rewriter.clone(node);
      } else {
        emit(rewriter, node, *pool->second);
      }
    });
  }

 private:
  /// A producer and its pool: the body, and which Values leave it.
  struct Joined {
    BodyBuilder body;
    std::vector<Value> results;
  };

  [[nodiscard]] Joined join(const Node& producer, const Node& pool) const {
    Joined joined;
    joined.body.add(producer);
    joined.body.add(pool);
    for (int i = 0; i < static_cast<int>(producer.outputs().size()); ++i) {
      const Value value{const_cast<Node*>(&producer), i};
      bool escapes = fetched_.contains(value);
      for (const Use& use : uses_[static_cast<std::size_t>(producer.id())]) {
        escapes |=
            use.node != &pool && use.node->input(static_cast<std::size_t>(use.operand)) == value;
      }
      if (escapes) joined.results.push_back(value);
    }
    joined.results.push_back({const_cast<Node*>(&pool), 0});
    for (const Value& result : joined.results) joined.body.fetch(result);
    return joined;
  }

  static Node* add_region(Graph& graph, Joined& joined, std::vector<Value> operands,
                          const Node& producer) {
    const Graph::OriginScope scope = graph.with_origin(producer.origin());
    Node* region = graph.add_region(fused_op(), std::move(operands), joined.body.take(), {},
                                    producer.name() + ".pooled");
    for (std::size_t i = 0; i < joined.results.size(); ++i) {
      region->set_layout(static_cast<int>(i), joined.results[i].layout());
    }
    return region;
  }

  [[nodiscard]] Support target_supports(const Node& producer, const Node& pool) const {
    const std::vector<const Node*> before{&producer};
    if (Support support = context_.target.can_fuse(before, pool, context_.form); !support) {
      return support;
    }
    Joined joined = join(producer, pool);
    Graph probe;
    std::vector<Value> operands;
    for (const Value& operand : joined.body.operands()) {
      const Value stand_in = probe.placeholder(fmt::format("x{}", operands.size()), operand.type());
      stand_in.node()->set_layout(0, operand.layout());
      operands.push_back(stand_in);
    }
    return context_.target.supports(*add_region(probe, joined, std::move(operands), producer));
  }

  void consider(const Node& pool) {
    const Node& producer = *pool.input(0).node();
    Support support = pools_.contains(&producer)
                          ? Support::no("another pool has joined what makes its operand")
                          : target_supports(producer, pool);
    if (support) {
      pools_.emplace(&producer, &pool);
    } else if (trace_enabled(Channel::dispatch)) {
      trace(Channel::dispatch,
            fmt::format("fuse_pools: {} \"{}\" does not join {} \"{}\": {}", pool.op().name,
                        pool.name(), producer.op().name, producer.name(), support.reason));
    }
  }

  void emit(Rewriter& rewriter, const Node& producer, const Node& pool) {
    Joined joined = join(producer, pool);
    std::vector<Value> operands;
    for (const Value& operand : joined.body.operands()) operands.push_back(rewriter.map(operand));
    Node* region = add_region(rewriter.graph(), joined, std::move(operands), producer);
    for (std::size_t i = 0; i < joined.results.size(); ++i) {
      rewriter.replace(joined.results[i], region->output(static_cast<int>(i)));
    }
    ++context_.statistics["fuse_pools.joined"];
  }

  const Graph& graph_;
  PassContext& context_;
  std::vector<std::vector<Use>> uses_;
  std::unordered_set<Value, ValueHash> fetched_;
  std::unordered_map<const Node*, const Node*> pools_;  ///< by producer
};

}  // namespace

std::unique_ptr<Graph> fuse_pools(const Graph& graph, PassContext& context) {
  return PoolFuser(graph, context).run();
}

}  // namespace ingot
