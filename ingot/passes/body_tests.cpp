#include "ingot/passes/body_tests.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <span>
#include <unordered_map>
#include <utility>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/passes/body_builder.h"

namespace ingot {
namespace {

using ValueMap = std::unordered_map<Value, Value, ValueHash>;

std::size_t index_of(const Node& node) { return static_cast<std::size_t>(node.id()); }

/// What the Node computes, with the argument as "x".
std::string key_of(const Value& value, const Node* argument) {
  const Node& node = *value.node();
  if (&node == argument) return "x";
  std::string key = fmt::format("{}(", node.op().name);
  for (const AttrValue& attr : node.attrs()) key += fmt::format("{:x},", hash_value(attr));
  for (const Value& input : node.inputs()) key += key_of(input, argument) + ",";
  return key + ")" + node.output_type().to_string();
}

/// A copy of the Node on mapped operands.
void clone_into(Graph& body, const Node& node, ValueMap& now) {
  std::vector<Value> inputs;
  for (const Value& input : node.inputs()) inputs.push_back(now.at(input));
  Node* copy = body.clone(node, std::move(inputs));
  for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
    now[{const_cast<Node*>(&node), i}] = copy->output(i);
  }
}

/// The test once more, on what `now` has in the place of its argument.
Value clone_test(Graph& body, const Value& value, ValueMap& now) {
  if (const auto it = now.find(value); it != now.end()) return it->second;
  for (const Value& input : value.node()->inputs()) clone_test(body, input, now);
  clone_into(body, *value.node(), now);
  return now.at(value);
}

/// Nodes that `roots` are made of, where the Values of `known` are there.
std::vector<bool> find_needed(const Graph& body, std::vector<Value> roots, const ValueMap& known) {
  std::vector<bool> needed(body.size(), false);
  while (!roots.empty()) {
    const Value value = roots.back();
    roots.pop_back();
    if (known.contains(value) || needed[index_of(*value.node())]) continue;
    needed[index_of(*value.node())] = true;
    roots.insert(roots.end(), value.node()->inputs().begin(), value.node()->inputs().end());
  }
  return needed;
}

}  // namespace

std::vector<BodyTest> tests_of(const Node& consumer, std::size_t operand) {
  const Graph& body = *consumer.body();
  const Node* argument = nullptr;
  for (const Node* node : body.nodes_of(argument_op())) {
    if (node->integer("index") == static_cast<std::int64_t>(operand)) argument = node;
  }
  if (argument == nullptr) return {};
  // What depends on the argument alone, and what of it others read.
  std::vector<bool> own(body.size(), false);
  own[index_of(*argument)] = true;
  std::vector<Value> read;
  const auto add_read = [&](const Value& value) {
    if (own[index_of(*value.node())] && std::ranges::find(read, value) == read.end()) {
      read.push_back(value);
    }
  };
  for (const auto& node : body.nodes()) {
    if (node->inputs().empty()) continue;
    const auto closed = [&](const Value& input) {
      const Node& maker = *input.node();
      return own[index_of(maker)] || (&maker.op() == &constant_op() && input.type().numel() == 1);
    };
    const bool any = std::ranges::any_of(
        node->inputs(), [&](const Value& input) { return own[index_of(*input.node())]; });
    if (any && is_pointwise(*node) && std::ranges::all_of(node->inputs(), closed) &&
        node->output_type().shape == argument->output_type().shape) {
      own[index_of(*node)] = true;
    } else {
      for (const Value& input : node->inputs()) add_read(input);
    }
  }
  for (const Fetch& fetch : body.fetches()) {
    if (own[index_of(*fetch.value.node())]) return {};
  }
  std::vector<BodyTest> tests;
  for (const Value& value : read) {
    if (value.dtype() != DType::boolean || value.node() == argument) return {};
    tests.push_back({value, argument, key_of(value, argument)});
  }
  return tests;
}

ChangedBody change_body(const Node& node, const BodyChange& change) {
  BodyBuilder alone;
  const Graph* body = node.body();
  std::span<const Value> operands = node.inputs();
  if (body == nullptr) {
    alone.add(node);
    for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
      alone.fetch({const_cast<Node*>(&node), i});
    }
    body = &alone.graph();
    operands = alone.operands();
  }
  ChangedBody result{std::make_unique<Graph>(), {}};
  ValueMap now;
  const auto add_argument = [&](const ChangedBody::Operand& operand, const TensorType& type,
                                const Layout& layout) {
    const auto index = static_cast<int>(result.operands.size());
    const Value argument = result.body->argument(index, type);
    argument.node()->set_layout(0, layout);
    result.operands.push_back(operand);
    return argument;
  };
  std::map<int, Value> taken;
  for (const BodyChange::Replaced& replaced : change.replaced) {
    Value& argument = taken[replaced.token];
    if (!argument.valid()) {
      argument = add_argument({{}, replaced.token}, replaced.test.type(), replaced.layout);
    }
    now[replaced.test] = argument;
  }
  const auto output = [&](int i) { return body->fetches()[static_cast<std::size_t>(i)].value; };
  std::vector<Value> roots;
  for (const int i : change.kept) roots.push_back(output(i));
  for (const BodyChange::Added& added : change.added) roots.push_back(output(added.output));
  const std::vector<bool> needed = find_needed(*body, std::move(roots), now);
  for (const auto& inner : body->nodes()) {
    if (!needed[index_of(*inner)]) continue;
    if (&inner->op() == &argument_op()) {
      const Value value = operands[static_cast<std::size_t>(inner->integer("index"))];
      now[inner->output()] = add_argument({value, -1}, value.type(), value.layout());
    } else {
      clone_into(*result.body, *inner, now);
    }
  }
  for (const int i : change.kept) {
    result.body->fetch(body->fetches()[static_cast<std::size_t>(i)].name, now.at(output(i)));
  }
  for (const BodyChange::Added& added : change.added) {
    ValueMap own{{const_cast<Node*>(added.test.argument)->output(), now.at(output(added.output))}};
    const Value made = clone_test(*result.body, added.test.result, own);
    made.node()->set_layout(0, added.layout);
    result.body->fetch(made.node()->name(), made);
  }
  return result;
}

}  // namespace ingot
