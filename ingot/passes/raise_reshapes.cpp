// Values of one axis that take unit axes only after some elementwise Nodes take them before: what a
// batch norm makes of its statistics then broadcasts where it is used, and can be computed there.
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "ingot/ir/body.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/operators.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"

namespace ingot {
namespace {

bool adds_unit_axes(const Node& node) {
  return &node.op() == &reshape_op() && node.input_type(0).shape.rank() == 1 &&
         node.output_type().shape.rank() > 1 &&
         std::ranges::count_if(node.output_type().shape, [](std::int64_t n) { return n != 1; }) ==
             1;
}

class Raiser {
 public:
  Raiser(Rewriter& rewriter, PassContext& context) : rewriter_(rewriter), context_(context) {}

  /// The source's Value in another shape of as many elements.
  Value reshaped(const Value& old, const Shape& shape) {
    Value& known = known_[{old.node()->id(), old.index(), shape.to_string()}];
    if (known.valid()) return known;
    const Node& node = *old.node();
    if (!may_reshape_first(node)) {
      return known = ops::reshape(rewriter_.map(old), shape, {});
    }
    std::vector<Value> inputs;
    for (const Value& input : node.inputs()) {
      inputs.push_back(input.shape() == old.shape() ? reshaped(input, shape)
                                                    : rewriter_.map(input));
    }
    ++context_.statistics["raise_reshapes.raised"];
    const Graph::OriginScope scope = rewriter_.graph().with_origin(node.origin());
    return known = rewriter_.graph()
                       .add(node.op(), std::move(inputs), attr_list(node), {}, {})
                       ->output();
  }

 private:
  static bool may_reshape_first(const Node& node) {
    if (!node.op().traits.elementwise) return false;
    return std::ranges::all_of(node.inputs(), [&](const Value& input) {
      return input.shape() == node.output_type().shape || input.shape().rank() == 0;
    });
  }

  Rewriter& rewriter_;
  PassContext& context_;
  std::map<std::tuple<int, int, std::string>, Value> known_;
};

}  // namespace

std::unique_ptr<Graph> raise_reshapes(const Graph& graph, PassContext& context) {
  if (context.form != StepForm::throughput) return clone_graph(graph);
  Rewriter rewriter(graph);
  Raiser raiser(rewriter, context);
  for (const auto& node : graph.nodes()) {
    if (rewriter.done(*node)) continue;
    if (adds_unit_axes(*node)) {
      rewriter.replace({node.get(), 0}, raiser.reshaped(node->input(0), node->output_type().shape));
    } else {
      rewriter.clone(*node);
    }
  }
  return rewriter.finish();
}

}  // namespace ingot
