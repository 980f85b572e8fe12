#include <fmt/core.h>

#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "ingot/base/trace.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/passes/layout_choice.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"

namespace ingot {
namespace {

class Assigner {
 public:
  Assigner(const Graph& graph, PassContext& context)
      : rewriter_(graph), context_(context), layouts_(choose_layouts(graph, context)) {}

  std::unique_ptr<Graph> run() {
    for (const auto& node : rewriter_.source().nodes()) visit(*node);
    for (const Fetch& fetch : rewriter_.source().fetches()) {
      rewriter_.replace(fetch.value, in_layout(rewriter_.map(fetch.value), Layout{}));
    }
    return rewriter_.finish();
  }

 private:
  void visit(const Node& old) {
    const NodeLayouts& layouts = layouts_[static_cast<std::size_t>(old.id())];
    Node* node = nullptr;
    if (rewriter_.done(old)) {
      node = rewriter_.map({const_cast<Node*>(&old), 0}).node();
    } else {
      std::vector<Value> inputs = rewriter_.map_inputs(old);
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        inputs[i] = in_layout(inputs[i], layouts.inputs[i]);
      }
      node = rewriter_.clone(old, std::move(inputs));
    }
    for (std::size_t i = 0; i < layouts.outputs.size(); ++i) {
      node->set_layout(static_cast<int>(i), layouts.outputs[i]);
    }
    if (node->body() != nullptr) set_body_layouts(*node);
    if (&old.op() == &variable_op()) {
      context_.variable_layouts[old.name()] = layouts.outputs.front();
    }
  }

  /// A body's arguments and results lie as the Region's operands and outputs do, and so does what
  /// has a result's shape between them.
  static void set_body_layouts(Node& region) {
    for (const auto& inner : region.body()->nodes()) {
      if (&inner->op() == &argument_op()) {
        const auto index = static_cast<std::size_t>(inner->integer("index"));
        inner->set_layout(0, region.input(index).layout());
      } else if (inner->outputs().front().type.shape == region.output_type().shape) {
        inner->set_layout(0, region.outputs().front().layout);
      }
    }
    for (std::size_t i = 0; i < region.outputs().size(); ++i) {
      const Value result = region.body()->fetches()[i].value;
      result.node()->set_layout(result.index(), region.outputs()[i].layout);
    }
  }

  Value in_layout(Value value, const Layout& layout) {
    if (value.layout() == layout) return value;
    const int rank = value.shape().rank();
    Value& known = reorders_[{value.node()->id(), value.index(), layout.to_string(rank)}];
    if (known.valid()) return known;
    const Graph::OriginScope scope = rewriter_.graph().with_origin(value.node()->origin());
    if (&value.node()->op() == &constant_op()) {
      Node* copy = rewriter_.graph().clone(*value.node(), {});
      copy->set_layout(0, layout);
      return known = copy->output();
    }
    Node* reorder =
        rewriter_.graph().add(reorder_op(), {value}, {{"layout", layout.to_string(rank)}}, {}, {});
    reorder->set_layout(0, layout);
    const bool is_variable = &value.node()->op() == &variable_op();
    ++context_.statistics[is_variable ? "layouts.variable_reorders" : "layouts.reorders"];
    if (trace_enabled(Channel::dispatch)) {
      trace(Channel::dispatch, fmt::format("layouts: reorder of \"{}\" {} from {} to {}",
                                           value.node()->name(), value.type().to_string(),
                                           value.layout().to_string(rank), layout.to_string(rank)));
    }
    return known = reorder->output();
  }

  Rewriter rewriter_;
  PassContext& context_;
  std::vector<NodeLayouts> layouts_;
  std::map<std::tuple<int, int, std::string>, Value> reorders_;
};

}  // namespace

std::unique_ptr<Graph> assign_layouts(const Graph& graph, PassContext& context) {
  return Assigner(graph, context).run();
}

}  // namespace ingot
