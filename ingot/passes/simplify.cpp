#include <fmt/core.h>

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/evaluate.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/registry.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"
#include "ingot/passes/simplify_rules.h"

namespace ingot {
namespace {

// Folding runs the slow reference kernels and stores its results, so both are bounded.
constexpr double kMaxFoldFlops = 1e6;
constexpr std::int64_t kMaxFoldBytes = 1 << 16;
constexpr std::int64_t kMaxFoldBroadcastBytes = 1 << 12;
// Rules may meet each other's results; none of them grows a Node, so a few rounds reach the end.
constexpr int kMaxRounds = 8;

class RuleTable {
 public:
  RuleTable() {
    for (const auto rules : {elementwise_rules(), movement_rules()}) {
      for (const SimplifyRule& rule : rules) {
        if (rule.op.empty()) {
          elementwise_.push_back(&rule);
        } else if (const OpDef* op = find_op(rule.op)) {
          by_op_[op].push_back(&rule);
        }
      }
    }
  }
  /// The first rule's result that applies.
  std::optional<Value> apply(Node& node, PassContext& context) const {
    const auto try_rules = [&](const auto& rules) -> std::optional<Value> {
      for (const SimplifyRule* rule : rules) {
        if (auto value = rule->fn(node)) {
          ++context.statistics[fmt::format("simplify.{}", rule->name)];
          return value;
        }
      }
      return std::nullopt;
    };
    if (const auto rules = by_op_.find(&node.op()); rules != by_op_.end()) {
      if (auto value = try_rules(rules->second)) return value;
    }
    return node.op().traits.elementwise ? try_rules(elementwise_) : std::nullopt;
  }

 private:
  std::unordered_map<const OpDef*, std::vector<const SimplifyRule*>> by_op_;
  std::vector<const SimplifyRule*> elementwise_;
};

bool is_constant(const Value& value) { return &value.node()->op() == &constant_op(); }

class Simplifier {
 public:
  Simplifier(const Graph& graph, PassContext& context) : rewriter_(graph), context_(context) {}

  std::unique_ptr<Graph> run() {
    for (const auto& node : rewriter_.source().nodes()) {
      if (!rewriter_.done(*node)) visit(*node);
    }
    return rewriter_.finish();
  }

 private:
  void visit(const Node& old) {
    const OpDef& op = old.op();
    std::vector<Value> inputs = rewriter_.map_inputs(old);
    const Graph::OriginScope scope = rewriter_.graph().with_origin(old.origin());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      // An assign's first operand is the variable itself.
      if (inputs[i].type().numel() == 0 && (i > 0 || !op.traits.side_effect)) {
        inputs[i] = empty_constant(inputs[i].type());
      }
    }
    if (op.traits.side_effect || op.traits.source || old.body() != nullptr) {
      rewriter_.clone(old, std::move(inputs));
      return;
    }
    if (std::ranges::all_of(old.outputs(), [](const auto& o) { return o.type.numel() == 0; })) {
      for (std::size_t i = 0; i < old.outputs().size(); ++i) {
        rewriter_.replace({const_cast<Node*>(&old), static_cast<int>(i)},
                          empty_constant(old.output_type(i)));
      }
      return;
    }
    Node* node = rewriter_.clone(old, std::move(inputs));
    if (fold(old, *node)) return;
    if (node->outputs().size() == 1) rewriter_.replace({const_cast<Node*>(&old), 0}, settle(*node));
  }

  /// Applies rules until none does; folds what they make.
  Value settle(Node& node) {
    Value value = node.output();
    for (int round = 0; round < kMaxRounds; ++round) {
      Node& current = *value.node();
      if (current.outputs().size() != 1 || current.op().traits.source) break;
      const auto better = rules_.apply(current, context_);
      if (!better) break;
      value = *better;
      if (const auto folded = fold(*value.node()); !folded.empty()) value = folded.front();
    }
    return value;
  }

  Value empty_constant(const TensorType& type) {
    ++context_.statistics["simplify.empty"];
    return rewriter_.graph().constant(HostTensor(type), {});
  }

  bool fold(const Node& old, const Node& node) {
    const std::vector<Value> folded = fold(node);
    for (std::size_t i = 0; i < folded.size(); ++i) {
      rewriter_.replace({const_cast<Node*>(&old), static_cast<int>(i)}, folded[i]);
    }
    return !folded.empty();
  }

  /// The outputs as constants when all operands are constant and the budget allows it.
  std::vector<Value> fold(const Node& node) {
    const OpDef& op = node.op();
    if (node.inputs().empty() || op.traits.random || op.traits.source || op.traits.side_effect ||
        !std::ranges::all_of(node.inputs(), is_constant)) {
      return {};
    }
    std::int64_t bytes = 0;
    for (const Node::Output& output : node.outputs()) bytes += output.type.bytes();
    const bool empty =
        std::ranges::all_of(node.inputs(), [](const Value& v) { return v.type().numel() == 0; });
    const double flops = op.cost != nullptr ? op.cost(node).flops : 0.0;
    // A large broadcast is cheaper left implicit.
    if (&op == &broadcast_to_op() && bytes > kMaxFoldBroadcastBytes) return {};
    if (!empty && (bytes > kMaxFoldBytes || flops > kMaxFoldFlops)) return {};
    if (op.reference == nullptr && op.body == nullptr) return {};
    std::vector<HostView> operands;
    for (const Value& input : node.inputs()) {
      operands.push_back(input.node()->attr<TensorAttr>("value").tensor->view());
    }
    StepError error;
    std::vector<HostTensor> results = evaluate_node(node, operands, &error);
    // What breaks a rule of the op is left to be reported by the step.
    if (error.node >= 0) return {};
    ++context_.statistics["simplify.folded"];
    std::vector<Value> values;
    for (HostTensor& result : results) {
      values.push_back(rewriter_.graph().constant(std::move(result), {}));
    }
    return values;
  }

  Rewriter rewriter_;
  PassContext& context_;
  RuleTable rules_;
};

}  // namespace

std::unique_ptr<Graph> simplify(const Graph& graph, PassContext& context) {
  return Simplifier(graph, context).run();
}

}  // namespace ingot
