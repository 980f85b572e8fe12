// The update of a parameter joins the Node that makes its gradient, a product say, in one Region:
// each stretch of the parameter changes as soon as its gradient is there, and the gradient is never
// whole in memory. The optimizer's other parameters stay together in one Node.
//
// Updates run at the end of a step, after all that reads the parameters' old values; such a Region
// does too. So what the gradient is made of must live until then in the gradient's place, and the
// two are joined only where that takes no more memory.
#include <fmt/core.h>

#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ingot/base/trace.h"
#include "ingot/ir/body.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/passes/body_builder.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"

namespace ingot {
namespace {

std::int64_t bytes_of(const Value& value) { return value.layout().physical_bytes(value.type()); }

/// One tensor of an update.
struct UpdatedTensor {
  const Node* update;
  std::vector<std::size_t> inputs;  ///< the scalars, then p, g, states
  std::vector<int> outputs;

  UpdatedTensor(const Node& node, std::size_t tensor) : update(&node) {
    const auto scalars = static_cast<std::size_t>(node.integer("num_scalars"));
    const auto group = 2 + static_cast<std::size_t>(node.integer("num_states"));
    for (std::size_t i = 0; i < scalars; ++i) inputs.push_back(i);
    for (std::size_t i = 0; i < group; ++i) inputs.push_back(scalars + tensor * group + i);
    const std::size_t results = group - 1;
    for (std::size_t i = 0; i < results; ++i) {
      outputs.push_back(static_cast<int>(tensor * results + i));
    }
  }

  static std::size_t count(const Node& node) {
    const auto scalars = static_cast<std::size_t>(node.integer("num_scalars"));
    return (node.inputs().size() - scalars) /
           (2 + static_cast<std::size_t>(node.integer("num_states")));
  }

  [[nodiscard]] Value gradient() const {
    return update->input(inputs[static_cast<std::size_t>(update->integer("num_scalars")) + 1]);
  }
  [[nodiscard]] Value result(std::size_t i) const {
    return {const_cast<Node*>(update), outputs[i]};
  }
};

class UpdateFuser {
 public:
  UpdateFuser(const Graph& graph, PassContext& context)
      : graph_(graph), context_(context), uses_(find_uses(graph)) {
    for (const Fetch& fetch : graph.fetches()) fetched_.insert(fetch.value);
  }

  std::unique_ptr<Graph> run() {
    for (const Node* update : graph_.nodes_of(optimizer_update_op())) {
      for (std::size_t t = 0; t < UpdatedTensor::count(*update); ++t) consider({*update, t});
    }
    return rewrite(graph_, [this](Rewriter& rewriter, const Node& node) {
      if (absorbed_.contains(&node)) return;
      if (&node.op() == &optimizer_update_op()) return emit(rewriter, node);
      rewriter.clone(node);
    });
  }

 private:
  /// What keeps the gradient's Node from being part of the update; empty: nothing.
  [[nodiscard]] std::string obstacle(const UpdatedTensor& tensor) const {
    const Value gradient = tensor.gradient();
    const Node& maker = *gradient.node();
    if (maker.op().traits.source || maker.body() != nullptr || maker.outputs().size() != 1) {
      return fmt::format("{} makes its gradient", maker.op().name);
    }
    if (fetched_.contains(gradient) || uses_[static_cast<std::size_t>(maker.id())].size() != 1) {
      return "its gradient is needed elsewhere";
    }
    std::unordered_set<Value, ValueHash> kept;
    std::int64_t bytes = 0;
    for (const Value& input : maker.inputs()) {
      if (!input.node()->op().traits.source && kept.insert(input).second) bytes += bytes_of(input);
    }
    if (bytes > bytes_of(gradient)) {
      return fmt::format("its gradient is made of {} bytes and takes {}", bytes,
                         bytes_of(gradient));
    }
    return {};
  }

  static BodyBuilder make_body(const UpdatedTensor& tensor) {
    BodyBuilder body;
    body.add(*tensor.gradient().node());
    body.add_part(*tensor.update, tensor.inputs, tensor.outputs);
    for (std::size_t i = 0; i < tensor.outputs.size(); ++i) body.fetch(tensor.result(i));
    return body;
  }

  static Node* add_region(Graph& graph, BodyBuilder& body, std::vector<Value> operands,
                          const UpdatedTensor& tensor) {
    const Node& maker = *tensor.gradient().node();
    const Graph::OriginScope scope = graph.with_origin(maker.origin());
    Node* region = graph.add_region(fused_op(), std::move(operands), body.take(), {},
                                    maker.name() + ".update");
    for (std::size_t i = 0; i < tensor.outputs.size(); ++i) {
      region->set_layout(static_cast<int>(i), tensor.result(i).layout());
    }
    return region;
  }

  /// Whether the target fuses the two, and has a kernel for the Region.
  [[nodiscard]] Support target_supports(const UpdatedTensor& tensor) const {
    BodyBuilder body = make_body(tensor);
    const Node* maker = nullptr;
    const Node* update = nullptr;
    for (const auto& node : body.graph().nodes()) {
      if (&node->op() == &optimizer_update_op()) {
        update = node.get();
      } else if (!node->op().traits.source) {
        maker = node.get();
      }
    }
    const std::vector<const Node*> before{maker};
    if (Support support = context_.target.can_fuse(before, *update, context_.form); !support)
      return support;
    Graph probe;
    std::vector<Value> operands;
    for (const Value& operand : body.operands()) {
      const Value stand_in = probe.placeholder(fmt::format("x{}", operands.size()), operand.type());
      stand_in.node()->set_layout(0, operand.layout());
      operands.push_back(stand_in);
    }
    return context_.target.supports(*add_region(probe, body, std::move(operands), tensor));
  }

  void consider(const UpdatedTensor& tensor) {
    std::string reason = obstacle(tensor);
    if (reason.empty()) reason = target_supports(tensor).reason;
    if (reason.empty()) {
      absorbed_.emplace(tensor.gradient().node());
      return;
    }
    if (trace_enabled(Channel::dispatch)) {
      trace(Channel::dispatch, fmt::format("fuse_updates: \"{}\" is updated apart: {}",
                                           tensor.update
                                               ->input(tensor.inputs[static_cast<std::size_t>(
                                                   tensor.update->integer("num_scalars"))])
                                               .node()
                                               ->name(),
                                           reason));
    }
  }

  void emit(Rewriter& rewriter, const Node& update) {
    std::vector<UpdatedTensor> rest;
    const std::size_t count = UpdatedTensor::count(update);
    for (std::size_t t = 0; t < count; ++t) {
      UpdatedTensor tensor(update, t);
      if (!absorbed_.contains(tensor.gradient().node())) {
        rest.push_back(std::move(tensor));
        continue;
      }
      BodyBuilder body = make_body(tensor);
      std::vector<Value> operands;
      for (const Value& operand : body.operands()) operands.push_back(rewriter.map(operand));
      Node* region = add_region(rewriter.graph(), body, std::move(operands), tensor);
      for (std::size_t i = 0; i < tensor.outputs.size(); ++i) {
        rewriter.replace(tensor.result(i), region->output(static_cast<int>(i)));
      }
      ++context_.statistics["fuse_updates.joined"];
    }
    if (rest.size() == count) {
      rewriter.clone(update);
    } else if (!rest.empty()) {
      emit_rest(rewriter, update, rest);
    }
  }

  static void emit_rest(Rewriter& rewriter, const Node& update,
                        const std::vector<UpdatedTensor>& rest) {
    const auto scalars = static_cast<std::size_t>(update.integer("num_scalars"));
    std::vector<Value> operands;
    for (std::size_t i = 0; i < scalars; ++i) operands.push_back(rewriter.map(update.input(i)));
    for (const UpdatedTensor& tensor : rest) {
      for (std::size_t i = scalars; i < tensor.inputs.size(); ++i) {
        operands.push_back(rewriter.map(update.input(tensor.inputs[i])));
      }
    }
    const Graph::OriginScope scope = rewriter.graph().with_origin(update.origin());
    Node* node = rewriter.graph().add(update.op(), std::move(operands), attr_list(update),
                                      update.name(), {});
    int output = 0;
    for (const UpdatedTensor& tensor : rest) {
      for (std::size_t i = 0; i < tensor.outputs.size(); ++i, ++output) {
        node->set_layout(output, tensor.result(i).layout());
        rewriter.replace(tensor.result(i), node->output(output));
      }
    }
  }

  const Graph& graph_;
  PassContext& context_;
  std::vector<std::vector<Use>> uses_;
  std::unordered_set<Value, ValueHash> fetched_;
  std::unordered_set<const Node*> absorbed_;
};

}  // namespace

std::unique_ptr<Graph> fuse_updates(const Graph& graph, PassContext& context) {
  return UpdateFuser(graph, context).run();
}

}  // namespace ingot
