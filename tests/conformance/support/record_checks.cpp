#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "ingot/ir/body.h"
#include "ingot/ir/parser.h"
#include "ingot/ir/printer.h"
#include "ingot/ir/verifier.h"
#include "ingot/ops/common.h"
#include "ingot/ops/registry.h"
#include "tests/conformance/support/checks.h"

namespace ingot::conformance {
namespace {

constexpr std::size_t kGuard = 64;

/// Outputs between guard bytes, all filled with one pattern beforehand.
std::vector<std::vector<std::byte>> run_guarded(const Case& item, const Graph& graph,
                                                std::byte pattern) {
  const Node& node = op_node(graph);
  const HostTensors feeds = item.feeds(graph);
  std::vector<HostView> inputs;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    inputs.push_back(feeds.at(input_name(i)).view());
  }
  std::vector<std::vector<std::byte>> memory;
  std::vector<HostView> outputs;
  for (const Node::Output& output : node.outputs()) {
    memory.emplace_back(static_cast<std::size_t>(output.type.bytes()) + 2 * kGuard, pattern);
  }
  for (std::size_t i = 0; i < memory.size(); ++i) {
    outputs.push_back({node.output_type(i), memory[i].data() + kGuard});
  }
  StepError error;
  node.op().reference({node, inputs, outputs, &error});
  EXPECT_EQ(error.node, -1) << "the case's own inputs break rule " << error.rule;
  for (std::vector<std::byte>& block : memory) {
    const auto guard = [&](std::size_t at) {
      return std::all_of(block.begin() + static_cast<std::ptrdiff_t>(at),
                         block.begin() + static_cast<std::ptrdiff_t>(at + kGuard),
                         [pattern](std::byte b) { return b == pattern; });
    };
    EXPECT_TRUE(guard(0) && guard(block.size() - kGuard)) << "written outside the output";
    block = {block.begin() + kGuard, block.end() - kGuard};
  }
  return memory;
}

bool all_zero(const HostTensor& tensor) {
  const auto bytes = tensor.bytes();
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

void check_record(const OpDef& op) {
  EXPECT_FALSE(op.summary.empty());
  EXPECT_NE(op.infer, nullptr);
  EXPECT_TRUE((op.reference != nullptr) != (op.body != nullptr))
      << "a primitive has a reference kernel, a composite a body";
  EXPECT_EQ(op.body != nullptr, op.traits.composite);
  EXPECT_EQ(!op.expr.empty(), op.traits.elementwise);
  EXPECT_TRUE((op.gradient.fn != nullptr) != !op.gradient.not_differentiable.empty())
      << "a gradient, or the reason why there is none";
  EXPECT_NE(op.batch, nullptr);
  EXPECT_NE(op.cost, nullptr);
  EXPECT_FALSE(op.outputs.empty());
  for (const auto* operands : {&op.inputs, &op.outputs}) {
    for (const OperandSpec& operand : *operands) {
      EXPECT_FALSE(operand.name.empty() || operand.doc.empty()) << operand.name;
    }
  }
  for (const AttrSpec& attr : op.attrs) {
    EXPECT_FALSE(attr.name.empty() || attr.doc.empty()) << attr.name;
    if (attr.default_value) {
      EXPECT_EQ(attr_kind(*attr.default_value), attr.kind) << attr.name;
    }
  }
  std::set<std::string_view> ids;
  for (const Constraint& constraint : op.constraints) {
    EXPECT_TRUE(ids.insert(constraint.id).second) << constraint.id << " twice";
    EXPECT_FALSE(constraint.text.empty()) << constraint.id;
  }
  ASSERT_NE(op.cases, nullptr) << "a record has cases";
  std::set<std::string> names;
  for (const OpCase& item : op.cases()) {
    EXPECT_TRUE(names.insert(identifier(item.name)).second) << "case " << item.name << " twice";
  }
  EXPECT_FALSE(names.empty());
}

void check_constraints(const OpDef& op) {
  std::set<std::string_view> covered;
  if (op.bad_cases != nullptr) {
    for (const BadCase& bad : op.bad_cases()) covered.insert(bad.constraint);
  }
  for (const Case& item : all_cases(op)) {
    for (const int rule : rules_broken_by_data(item)) {
      covered.insert(op.constraints.at(static_cast<std::size_t>(rule)).id);
    }
  }
  for (const Constraint& constraint : op.constraints) {
    EXPECT_TRUE(covered.contains(constraint.id))
        << constraint.id << " (" << constraint.text << ") is broken by no bad case and no data";
  }
}

void check_bad_case(const OpDef& op, const BadCase& bad) {
  (void)op.constraint(bad.constraint);
  Graph graph;
  std::vector<Value> inputs;
  for (std::size_t i = 0; i < bad.inputs.size(); ++i) {
    inputs.push_back(graph.placeholder(input_name(i), bad.inputs[i], {}));
  }
  try {
    graph.add(op, inputs, bad.attrs, "op", {});
    ADD_FAILURE() << "no error, expected: " << bad.message;
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), bad.message);
    EXPECT_EQ(error.kind(), ErrorKind::user);
    EXPECT_NE(bad.message.find(op.constraint(bad.constraint).text), std::string::npos)
        << "the message is not that of " << bad.constraint;
  }
}

void check_shape(const Case& item) {
  const auto graph = item.graph();
  verify(*graph, "conformance");
  const Node& node = op_node(*graph);
  ASSERT_FALSE(node.outputs().empty());
  const Evaluation result = evaluate(*graph, item.feeds(*graph));
  EXPECT_EQ(result.error.node, -1) << "the case's own inputs break rule " << result.error.rule;
  for (std::size_t i = 0; i < node.outputs().size(); ++i) {
    const HostTensor& output = result.fetches.at(output_name(i));
    EXPECT_EQ(output.type(), node.output_type(i));
  }
  if (node.op().reference == nullptr) return;
  const auto first = run_guarded(item, *graph, std::byte{0x5a});
  const auto second = run_guarded(item, *graph, std::byte{0xc3});
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i], second[i]) << "output " << i << " is not written completely";
  }
}

void check_shows(const OpDef& op) {
  int outputs = 0;
  int gradients = 0;
  int nonzero_outputs = 0;
  int nonzero_gradients = 0;
  for (const Case& item : all_cases(op)) {
    const auto graph = item.graph();
    const Evaluation result = evaluate(*graph, item.feeds(*graph));
    bool nonzero = false;
    std::int64_t elements = 0;
    for (const auto& [name, output] : result.fetches) {
      nonzero |= !all_zero(output);
      // One bool says as much as several numbers.
      const std::int64_t least = output.type().dtype == DType::boolean ? 2 : 0;
      elements = std::max({elements, output.type().numel(), least});
    }
    if (elements < 2) continue;
    ++outputs;
    nonzero_outputs += nonzero ? 1 : 0;
    if (!has_gradient_check(item)) continue;
    ++gradients;
    nonzero_gradients += gradient_is_zero(item) ? 0 : 1;
  }
  EXPECT_GT(outputs, 0) << "every case has fewer than two elements";
  EXPECT_GE(2 * nonzero_outputs, outputs) << "most cases give zeros";
  EXPECT_GE(2 * nonzero_gradients, gradients) << "most gradients are zero";
}

void check_print(const Case& item) {
  const auto graph = item.graph();
  const std::string text = print_graph(*graph);
  const auto copy = parse_graph(text, all_ops());
  EXPECT_EQ(print_graph(*copy), text);
  verify(*copy, "conformance");
  const HostTensors feeds = item.feeds(*graph);
  EXPECT_EQ(evaluate(*copy, feeds).fetches, evaluate(*graph, feeds).fetches);
}

void check_repeat(const Case& item) {
  const auto graph = item.graph();
  const HostTensors feeds = item.feeds(*graph);
  EXPECT_EQ(evaluate(*graph, feeds).fetches, evaluate(*graph, feeds).fetches);
}

void check_expr(const Case& item) {
  const auto graph = item.graph();
  const Node& node = op_node(*graph);
  const HostTensors feeds = item.feeds(*graph);
  std::vector<std::string> names;
  std::vector<DType> types;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    names.emplace_back(node.op().inputs[i].name);
    types.push_back(node.input_type(i).dtype);
  }
  const ScalarProgram program = ScalarProgram::parse(node.op().expr, names).typed(types);
  HostTensor want(node.output_type());
  std::vector<double> in(names.size());
  for_each_index(want.type().shape, [&](std::int64_t flat, const auto& index) {
    for (std::size_t i = 0; i < in.size(); ++i) {
      const HostView x = feeds.at(input_name(i)).view();
      in[i] = x.get(broadcast_index(x.type.shape, want.type().shape, index));
    }
    double y = 0;
    program.evaluate(in, {&y, 1});
    want.view().set(flat, y);
  });
  EXPECT_EQ(evaluate(*graph, feeds).fetches.at(output_name(0)), want);
}

}  // namespace ingot::conformance
