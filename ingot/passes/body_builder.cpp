#include "ingot/passes/body_builder.h"

#include <fmt/core.h>

#include <utility>

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
