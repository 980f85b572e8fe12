#include "ingot/ops/node_kinds.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/scalar.h"
#include "ingot/ops/registry.h"

namespace ingot {
namespace {

/// The elementwise op that computes the expression of operands x and y.
const OpDef* op_computing(std::string_view expr, int arity) {
  const auto program = [arity](std::string_view text, const std::vector<std::string>& names) {
    return std::ssize(names) == arity ? ScalarProgram::parse(text, names) : ScalarProgram();
  };
  const std::vector<std::string> all{"x", "y"};
  const ScalarProgram wanted = program(expr, {all.begin(), all.begin() + arity});
  for (const OpDef* op : all_ops()) {
    if (!op->traits.elementwise) continue;
    std::vector<std::string> names;
    for (const auto& input : op->inputs) names.emplace_back(input.name);
    if (program(op->expr, names) == wanted) return op;
  }
  return nullptr;
}

}  // namespace

bool is_addition(const Node& node) {
  static const OpDef* const op = op_computing("x + y", 2);
  return &node.op() == op;
}

bool is_relu(const Node& node) {
  static const OpDef* const op = op_computing("max(x, 0)", 1);
  return &node.op() == op;
}

bool converts_operands(const Node& node) {
  if (node.body() == nullptr || node.outputs().empty()) return false;
  return std::ranges::all_of(node.body()->fetches(), [](const Fetch& fetch) {
    const Node& cast = *fetch.value.node();
    return &cast.op() == &cast_op() && &cast.input(0).node()->op() == &argument_op();
  });
}

bool is_conversions(const Node& node) {
  return node.outputs().size() > 1 && converts_operands(node);
}

std::size_t converted_operand(const Node& node, std::size_t result) {
  const Node& cast = *node.body()->fetches()[result].value.node();
  return static_cast<std::size_t>(cast.input(0).node()->integer("index"));
}

}  // namespace ingot
