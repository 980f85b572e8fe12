#include "ingot/ir/batch.h"

#include <algorithm>
#include <utility>

#include "ingot/ir/body.h"
#include "ingot/ir/core_ops.h"

namespace ingot {
namespace {

bool has_batch(std::span<const int> axes) {
  return std::ranges::any_of(axes, [](int axis) { return axis >= 0; });
}

}  // namespace

std::vector<BatchResult> batch_of(const Node& node, std::span<const int> input_axes) {
  const BatchResult none{BatchKind::none, -1};
  if (node.body() != nullptr) {
    const BatchFlow flow = follow_batch(*node.body(), input_axes);
    std::vector<BatchResult> results;
    for (const Fetch& fetch : node.body()->fetches()) {
      results.push_back(flow.outputs[static_cast<std::size_t>(fetch.value.node()->id())]
                                    [static_cast<std::size_t>(fetch.value.index())]);
    }
    return results;
  }
  if (!has_batch(input_axes)) return std::vector<BatchResult>(node.outputs().size(), none);
  if (node.op().batch == nullptr) return std::vector<BatchResult>(node.outputs().size());
  return node.op().batch(node, input_axes);
}

BatchFlow follow_batch(const Graph& body, std::span<const int> argument_axes) {
  BatchFlow flow;
  for (const auto& node : body.nodes()) {
    std::vector<int>& axes = flow.input_axes.emplace_back();
    std::vector<BatchResult>& outputs = flow.outputs.emplace_back();
    if (&node->op() == &argument_op()) {
      const int axis = argument_axes[static_cast<std::size_t>(node->integer("index"))];
      outputs = {{axis < 0 ? BatchKind::none : BatchKind::kept, axis}};
      continue;
    }
    bool reads_sum = false;
    for (const Value& input : node->inputs()) {
      const BatchResult& from = flow.outputs[static_cast<std::size_t>(input.node()->id())]
                                            [static_cast<std::size_t>(input.index())];
      reads_sum |= from.kind == BatchKind::reduced || from.kind == BatchKind::mixed;
      axes.push_back(from.kind == BatchKind::kept ? from.axis : -1);
    }
    outputs = reads_sum ? std::vector<BatchResult>(node->outputs().size()) : batch_of(*node, axes);
  }
  return flow;
}

std::unique_ptr<Graph> rebatch(const Graph& body, std::span<const int> argument_axes,
                               std::int64_t items) {
  const BatchFlow flow = follow_batch(body, argument_axes);
  auto result = std::make_unique<Graph>();
  for (const auto& node : body.nodes()) {
    const Graph::OriginScope scope = result->with_origin(node->origin());
    const std::vector<int>& axes = flow.input_axes[static_cast<std::size_t>(node->id())];
    std::vector<Value> inputs;
    for (const Value& input : node->inputs()) {
      inputs.push_back(
          result->nodes()[static_cast<std::size_t>(input.node()->id())]->output(input.index()));
    }
    Node* copy = nullptr;
    if (&node->op() == &argument_op()) {
      const auto index = static_cast<int>(node->integer("index"));
      TensorType type = node->output_type();
      const int axis = argument_axes[static_cast<std::size_t>(index)];
      if (axis >= 0) type.shape[axis] = items;
      copy = result->argument(index, type).node();
    } else if (node->body() != nullptr) {
      copy = result->add_region(node->op(), std::move(inputs), rebatch(*node->body(), axes, items),
                                attr_list(*node), node->name());
    } else {
      const bool depends = has_batch(axes) && node->op().rebatch != nullptr;
      copy = result->add(node->op(), std::move(inputs),
                         depends ? node->op().rebatch(*node, axes, items) : attr_list(*node),
                         node->name(), {});
    }
    for (int i = 0; i < static_cast<int>(node->outputs().size()); ++i) {
      copy->set_layout(i, node->outputs()[static_cast<std::size_t>(i)].layout);
    }
  }
  for (const Fetch& fetch : body.fetches()) {
    result->fetch(fetch.name,
                  result->nodes()[static_cast<std::size_t>(fetch.value.node()->id())]->output(
                      fetch.value.index()));
  }
  return result;
}

bool is_outermost(const Shape& shape, const Layout& layout, int axis) {
  if (layout.block_of(axis) != 1) return false;
  for (int i = 0; i < shape.rank(); ++i) {
    const int outer = layout.order().empty() ? i : layout.order()[static_cast<std::size_t>(i)];
    if (outer == axis) return true;
    if (shape[outer] != 1) return false;
  }
  return false;
}

}  // namespace ingot
