#include "ingot/ir/evaluate.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "ingot/base/error.h"
#include "ingot/ir/body.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"

namespace ingot {
namespace {

/// A Node's outputs: views of memory that belongs to `owned` or to somebody else.
struct Outputs {
  std::vector<HostTensor> owned;
  std::vector<HostView> views;
  int uses = 0;
};

/// The index in `outer`'s constraints of the rule that `inner` latched: the one with the same text.
std::int32_t outer_rule(const OpDef& outer, const OpDef& inner, std::int32_t rule) {
  const auto at = static_cast<std::size_t>(rule);
  if (at >= inner.constraints.size()) return rule;
  for (std::size_t i = 0; i < outer.constraints.size(); ++i) {
    if (outer.constraints[i].text == inner.constraints[at].text) return static_cast<int>(i);
  }
  return rule;
}

/// Runs the Nodes of a Graph in order, dropping each value after its last use.
class Interpreter {
 public:
  using SourceFn = std::function<HostView(const Node&)>;

  Interpreter(const Graph& graph, SourceFn source, const EvaluationObserver* observer)
      : graph_(graph), source_(std::move(source)), observer_(observer), values_(graph.size()) {
    for (const auto& node : graph.nodes()) {
      for (const Value& input : node->inputs()) ++at(input).uses;
    }
    for (const Fetch& fetch : graph.fetches()) ++at(fetch.value).uses;
    run();
  }

  /// The value of a fetch, or of an assign's operand.
  HostTensor take(const Value& value) {
    const HostView& view = at(value).views[static_cast<std::size_t>(value.index())];
    HostTensor tensor(view.type);
    std::copy_n(view.data, view.type.bytes(), tensor.bytes().data());
    return tensor;
  }

  [[nodiscard]] const StepError& error() const noexcept { return error_; }
  [[nodiscard]] HostTensors take_assigned() { return std::move(assigned_); }

 private:
  Outputs& at(const Value& value) { return values_[static_cast<std::size_t>(value.node()->id())]; }

  void run() {
    for (const auto& node : graph_.nodes()) {
      Outputs& outputs = values_[static_cast<std::size_t>(node->id())];
      if (&node->op() == &assign_op()) {
        assign(*node);
      } else if (&node->op() == &constant_op()) {
        outputs.views = {std::as_const(*node->attr<TensorAttr>("value").tensor).view()};
      } else if (node->op().traits.source) {
        outputs.views = {source_(*node)};
      } else {
        compute(*node, outputs);
      }
      if (observer_ != nullptr && *observer_) (*observer_)(*node, outputs.views);
      for (const Value& input : node->inputs()) release(at(input));
      if (outputs.uses == 0) outputs = {};
    }
  }

  void compute(const Node& node, Outputs& outputs) {
    std::vector<HostView> inputs;
    for (const Value& input : node.inputs()) {
      inputs.push_back(at(input).views[static_cast<std::size_t>(input.index())]);
    }
    StepError latched;
    outputs.owned = evaluate_node(node, inputs, &latched);
    for (HostTensor& tensor : outputs.owned) outputs.views.push_back(tensor.view());
    if (error_.node < 0) error_ = latched;
  }

  void assign(const Node& node) {
    if (node.inputs().size() == 3 && at(node.input(2)).views.front().get_int(0) == 0) return;
    assigned_.emplace(node.input(0).node()->name(), take(node.input(1)));
  }

  static void release(Outputs& outputs) {
    if (--outputs.uses == 0) outputs = {};
  }

  const Graph& graph_;
  SourceFn source_;
  const EvaluationObserver* observer_;
  std::vector<Outputs> values_;
  HostTensors assigned_;
  StepError error_;
};

std::vector<HostTensor> evaluate_body(const Graph& body, const Node& node,
                                      std::span<const HostView> inputs, StepError* error) {
  const auto argument = [inputs](const Node& source) {
    return inputs[static_cast<std::size_t>(source.integer("index"))];
  };
  Interpreter interpreter(body, argument, nullptr);
  std::vector<HostTensor> results;
  for (const Fetch& fetch : body.fetches()) results.push_back(interpreter.take(fetch.value));
  const StepError& inner = interpreter.error();
  if (error != nullptr && inner.node >= 0) {
    const Node& broken = *body.nodes()[static_cast<std::size_t>(inner.node)];
    *error = inner;
    error->node = node.id();
    error->rule = outer_rule(node.op(), broken.op(), inner.rule);
  }
  return results;
}

HostView fed(const Node& node, const HostTensors& values, std::string_view what) {
  const auto it = values.find(node.name());
  const TensorType& type = node.output_type();
  if (it == values.end()) {
    throw_with_origin(
        user_error(ErrorCode::invalid_feed, fmt::format("{} \"{}\": {} must be given, got none",
                                                        what, node.name(), type.to_string())),
        node.origin());
  }
  if (it->second.type() != type) {
    throw_with_origin(user_error(ErrorCode::invalid_feed,
                                 fmt::format("{} \"{}\": must be {}, got {}", what, node.name(),
                                             type.to_string(), it->second.type().to_string())),
                      node.origin());
  }
  return it->second.view();
}

void check_feed_names(const Graph& graph, const HostTensors& feeds) {
  for (const auto& [name, tensor] : feeds) {
    const Node* node = graph.find(name);
    if (node != nullptr && &node->op() == &placeholder_op()) continue;
    std::vector<std::string> names;
    for (const Node* placeholder : graph.nodes_of(placeholder_op())) {
      names.push_back(placeholder->name());
    }
    Error error =
        user_error(ErrorCode::invalid_feed,
                   fmt::format("feed \"{}\": must name a placeholder of the graph, got {}", name,
                               node == nullptr ? "no such node" : node->op().name));
    if (const auto close = closest_names(name, names); !close.empty()) {
      error.help("did you mean " + close + "?");
    }
    throw error;
  }
}

}  // namespace

std::vector<HostTensor> evaluate_node(const Node& node, std::span<const HostView> inputs,
                                      StepError* error) {
  if (node.body() != nullptr) return evaluate_body(*node.body(), node, inputs, error);
  const OpDef& op = node.op();
  if (&op == &constant_op()) return {*node.attr<TensorAttr>("value").tensor};
  if (op.reference == nullptr && op.body != nullptr) {
    return evaluate_body(*build_body(node), node, inputs, error);
  }
  if (op.reference == nullptr) {
    throw unsupported_error(
        fmt::format("{} \"{}\": must have a reference kernel, got none", op.name, node.name()));
  }
  std::vector<HostTensor> outputs;
  std::vector<HostView> views;
  outputs.reserve(node.outputs().size());
  for (const Node::Output& output : node.outputs()) {
    views.push_back(outputs.emplace_back(output.type).view());
  }
  StepError ignored;
  op.reference({node, inputs, views, error != nullptr ? error : &ignored});
  return outputs;
}

Evaluation evaluate(const Graph& graph, const HostTensors& feeds, const HostTensors& variables) {
  return evaluate(graph, feeds, variables, {});
}

Evaluation evaluate(const Graph& graph, const HostTensors& feeds, const HostTensors& variables,
                    const EvaluationObserver& observer) {
  check_feed_names(graph, feeds);
  const auto source = [&](const Node& node) {
    return &node.op() == &variable_op() ? fed(node, variables, "variable")
                                        : fed(node, feeds, "feed");
  };
  Interpreter interpreter(graph, source, &observer);
  Evaluation result;
  for (const Fetch& fetch : graph.fetches()) {
    result.fetches.emplace(fetch.name, interpreter.take(fetch.value));
  }
  result.error = interpreter.error();
  if (result.error.node < 0) result.assigned = interpreter.take_assigned();
  return result;
}

}  // namespace ingot
