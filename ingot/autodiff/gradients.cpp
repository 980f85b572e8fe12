#include "ingot/autodiff/gradients.h"

#include <fmt/core.h>

#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "ingot/ir/op_def.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

using GradMap = std::unordered_map<Value, Value, ValueHash>;
using ValueSet = std::unordered_set<Value, ValueHash>;

void accumulate(GradMap& grads, Value value, Value grad) {
  Value& slot = grads[value];
  slot = slot.valid() ? ops::add(slot, grad, {}) : grad;
}

/// For the Nodes [begin, end): whether a Value of `wrt` lies before the Node.
std::vector<bool> find_active(const Graph& graph, int begin, int end, std::span<const Value> wrt) {
  const ValueSet is_wrt(wrt.begin(), wrt.end());
  std::vector<bool> active(static_cast<std::size_t>(end - begin), false);
  for (int id = begin; id < end; ++id) {
    for (const Value& input : graph.nodes()[static_cast<std::size_t>(id)]->inputs()) {
      const int from = input.node()->id();
      if ((from >= begin && active[static_cast<std::size_t>(from - begin)]) ||
          is_wrt.contains(input)) {
        active[static_cast<std::size_t>(id - begin)] = true;
        break;
      }
    }
  }
  return active;
}

void walk_back(Graph& graph, int begin, int end, std::span<const Value> wrt, GradMap& grads);

/// Gradients through a composite that has none of its own: its body is built a second time, which
/// common-subexpression elimination undoes once the composite itself is lowered.
std::vector<Value> differentiate_body(Graph& graph, const GradientContext& ctx) {
  const int begin = static_cast<int>(graph.size());
  const std::vector<Value> results = ctx.node.op().body(ctx.node, ctx.inputs);
  const int end = static_cast<int>(graph.size());
  GradMap grads;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (ctx.grads[i].valid()) accumulate(grads, results[i], ctx.grads[i]);
  }
  walk_back(graph, begin, end, ctx.inputs, grads);
  std::vector<Value> result;
  for (const Value& input : ctx.inputs) {
    const auto found = grads.find(input);
    result.push_back(found == grads.end() ? Value{} : found->second);
  }
  return result;
}

std::vector<Value> node_gradients(Graph& graph, Node& node, std::span<const Value> grads) {
  const OpDef& op = node.op();
  std::vector<Value> outputs;
  for (std::size_t i = 0; i < node.outputs().size(); ++i) {
    outputs.push_back(node.output(static_cast<int>(i)));
  }
  // The Graph grows while the gradient reads its context, but Nodes stay where they are.
  const GradientContext ctx{node, node.inputs(), outputs, grads};
  if (op.gradient.fn != nullptr) return op.gradient.fn(ctx);
  if (op.body != nullptr && op.gradient.not_differentiable.empty()) {
    return differentiate_body(graph, ctx);
  }
  Error error =
      user_error(ErrorCode::invalid_graph,
                 fmt::format("{} \"{}\": is not differentiable, got a gradient to pass on", op.name,
                             node.name()));
  if (!op.gradient.not_differentiable.empty()) error.note(op.gradient.not_differentiable);
  throw_with_origin(std::move(error), node.origin());
}

/// From the last of the Nodes [begin, end) to the first: turns the gradients of a Node's outputs
/// into its inputs', skipping Nodes with no Value of `wrt` before them.
void walk_back(Graph& graph, int begin, int end, std::span<const Value> wrt, GradMap& grads) {
  const std::vector<bool> active = find_active(graph, begin, end, wrt);
  const auto is_active = [&](const Value& value) {
    const int id = value.node()->id();
    return id >= begin && id < end && active[static_cast<std::size_t>(id - begin)];
  };
  const ValueSet is_wrt(wrt.begin(), wrt.end());
  for (int id = end - 1; id >= begin; --id) {
    Node& node = *graph.nodes()[static_cast<std::size_t>(id)];
    if (!active[static_cast<std::size_t>(id - begin)]) continue;
    std::vector<Value> output_grads(node.outputs().size());
    bool any = false;
    for (std::size_t i = 0; i < output_grads.size(); ++i) {
      const auto found = grads.find(node.output(static_cast<int>(i)));
      if (found == grads.end()) continue;
      output_grads[i] = found->second;
      any = true;
    }
    if (!any) continue;
    const Graph::OriginScope scope = graph.with_origin(node.origin());
    const std::vector<Value> input_grads = node_gradients(graph, node, output_grads);
    for (std::size_t i = 0; i < input_grads.size(); ++i) {
      const Value& input = node.input(i);
      if (!input_grads[i].valid() || (!is_active(input) && !is_wrt.contains(input))) continue;
      if (input_grads[i].type() != input.type()) {
        throw internal_error(fmt::format("{} \"{}\": gradient of operand {} must be {}, got {}",
                                         node.op().name, node.name(), i, input.type().to_string(),
                                         input_grads[i].type().to_string()));
      }
      accumulate(grads, input, input_grads[i]);
    }
  }
}

void check_wrt(const Value& loss, const Value& value, const Origin& origin) {
  const std::string& name = value.node()->name();
  if (&value.graph() != &loss.graph()) {
    throw_with_origin(
        user_error(ErrorCode::invalid_graph,
                   fmt::format("gradients \"{}\": must be a value of the loss's graph, got another "
                               "graph's",
                               name)),
        origin);
  }
  if (!is_float(value.dtype())) {
    throw_with_origin(
        user_error(ErrorCode::invalid_shape,
                   fmt::format("gradients \"{}\": must be with respect to a float, got {}", name,
                               value.type().to_string())),
        origin);
  }
}

}  // namespace

std::vector<Value> gradients(Value loss, std::span<const Value> wrt, SourceLocation loc) {
  Graph& graph = loss.graph();
  const Origin origin{loc, graph.module_path()};
  if (loss.shape().rank() != 0 || !is_float(loss.dtype())) {
    throw_with_origin(
        user_error(ErrorCode::invalid_shape,
                   fmt::format("gradients \"{}\": loss must be a float scalar, got {}",
                               loss.node()->name(), loss.type().to_string()))
            .help("reduce it with mean or sum over all axes"),
        origin);
  }
  for (const Value& value : wrt) check_wrt(loss, value, origin);
  GradMap grads;
  grads.emplace(loss, graph.scalar(1.0, loss.dtype(), loc));
  walk_back(graph, 0, loss.node()->id() + 1, wrt, grads);
  std::vector<Value> result;
  result.reserve(wrt.size());
  for (const Value& value : wrt) {
    const auto found = grads.find(value);
    result.push_back(found != grads.end() ? found->second
                                          : ops::broadcast_to(graph.scalar(0.0, value.dtype(), loc),
                                                              value.shape(), loc));
  }
  return result;
}

}  // namespace ingot
