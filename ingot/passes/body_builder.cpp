#include "ingot/passes/body_builder.h"

#include <fmt/core.h>

#include <utility>

#include "ingot/ir/body.h"
#include "ingot/ir/core_ops.h"

namespace ingot {

void BodyBuilder::add(const Node& node, std::span<const int> axes) {
  std::vector<Value> inputs;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    inputs.push_back(map(node.input(i), axes.empty() ? -1 : axes[i]));
  }
  Node* copy = body_->clone(node, std::move(inputs));
  for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
    inner({const_cast<Node*>(&node), i}, kInside) = copy->output(i);
  }
}

void BodyBuilder::add_part(const Node& node, std::span<const std::size_t> inputs,
                           std::span<const int> outputs) {
  const Graph::OriginScope scope = body_->with_origin(node.origin());
  std::vector<Value> operands;
  for (const std::size_t i : inputs) operands.push_back(map(node.input(i), -1));
  Node* part = body_->add(node.op(), std::move(operands), attr_list(node), node.name(), {});
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Value whole{const_cast<Node*>(&node), outputs[i]};
    part->set_layout(static_cast<int>(i), whole.layout());
    inner(whole, kInside) = part->output(static_cast<int>(i));
  }
}

void BodyBuilder::fetch(const Value& value) {
  const std::string& name = value.node()->name();
  body_->fetch(value.index() == 0 ? name : fmt::format("{}:{}", name, value.index()),
               inner(value, kInside));
}

Value BodyBuilder::map(const Value& value, int axis) {
  if (const Value made = inner(value, kInside); made.valid()) return made;
  const Node& node = *value.node();
  if (&node.op() == &constant_op() && value.type().numel() == 1) {
    return inner(value, kInside) = body_->clone(node, {})->output();
  }
  Value& known = inner(value, axis);
  if (known.valid()) return known;
  known = body_->argument(static_cast<int>(operands_.size()), value.type());
  known.node()->set_layout(0, value.layout());
  operands_.push_back(value);
  operand_axes_.push_back(axis);
  return known;
}

}  // namespace ingot
