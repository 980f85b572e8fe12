#include "ingot/ir/body.h"

#include <fmt/core.h>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"

namespace ingot {
namespace {

std::string output_name(const OpDef& op, std::size_t index) {
  const std::size_t last = op.outputs.empty() ? 0 : op.outputs.size() - 1;
  if (index < op.outputs.size() && !op.outputs[index].variadic) {
    return std::string(op.outputs[index].name);
  }
  const std::string_view base = op.outputs.empty() ? "result" : op.outputs[last].name;
  return fmt::format("{}{}", base, index - last);
}

}  // namespace

AttrList attr_list(const Node& node) {
  AttrList attrs;
  for (std::size_t i = 0; i < node.attrs().size(); ++i) {
    attrs.emplace_back(std::string(node.op().attrs[i].name), node.attrs()[i]);
  }
  return attrs;
}

double total_flops(const Node& node) {
  if (node.body() == nullptr) return node.op().cost != nullptr ? node.op().cost(node).flops : 0.0;
  double total = 0;
  for (const auto& inner : node.body()->nodes()) total += total_flops(*inner);
  return total;
}

std::unique_ptr<Graph> build_body(const Node& composite) {
  const OpDef& op = composite.op();
  if (op.body == nullptr) {
    throw internal_error(fmt::format("{} \"{}\": has no body", op.name, composite.name()));
  }
  auto body = std::make_unique<Graph>();
  std::vector<Value> results;
  {
    const Graph::OriginScope scope(*body, composite.origin());
    std::vector<Value> arguments;
    for (std::size_t i = 0; i < composite.inputs().size(); ++i) {
      arguments.push_back(body->argument(static_cast<int>(i), composite.input_type(i)));
    }
    results = op.body(composite, arguments);
  }
  const std::span<const Node::Output> outputs = composite.outputs();
  bool agrees = results.size() == outputs.size();
  for (std::size_t i = 0; agrees && i < results.size(); ++i) {
    agrees = results[i].valid() && results[i].type() == outputs[i].type;
  }
  if (!agrees) {
    throw internal_error(fmt::format("{} \"{}\": the body's results differ from the inferred types",
                                     op.name, composite.name()));
  }
  for (std::size_t i = 0; i < results.size(); ++i) body->fetch(output_name(op, i), results[i]);
  return body;
}

std::vector<Value> inline_body(Graph& into, const Node& composite, std::span<const Value> inputs) {
  return inline_graph(into, *build_body(composite), inputs, composite.origin(), composite.name());
}

std::vector<Value> inline_graph(Graph& into, const Graph& body, std::span<const Value> inputs,
                                const Origin& origin, std::string_view name) {
  const Graph::OriginScope scope(into, origin);
  std::vector<std::vector<Value>> map;
  map.reserve(body.size());
  const auto mapped = [&map](const Value& value) {
    return map[static_cast<std::size_t>(value.node()->id())]
              [static_cast<std::size_t>(value.index())];
  };
  for (const auto& node : body.nodes()) {
    std::vector<Value>& outputs = map.emplace_back();
    if (&node->op() == &argument_op()) {
      outputs.push_back(inputs[static_cast<std::size_t>(node->integer("index"))]);
      continue;
    }
    std::vector<Value> operands;
    for (const Value& input : node->inputs()) operands.push_back(mapped(input));
    const std::string full_name = fmt::format("{}.{}", name, node->name());
    Node* copy = node->body() != nullptr
                     ? into.add_region(node->op(), std::move(operands), clone_graph(*node->body()),
                                       attr_list(*node), full_name)
                     : into.add(node->op(), std::move(operands), attr_list(*node), full_name, {});
    for (int i = 0; i < static_cast<int>(copy->outputs().size()); ++i) {
      copy->set_layout(i, node->outputs()[static_cast<std::size_t>(i)].layout);
      outputs.push_back(copy->output(i));
    }
  }
  std::vector<Value> results;
  for (const Fetch& fetch : body.fetches()) results.push_back(mapped(fetch.value));
  return results;
}

}  // namespace ingot
