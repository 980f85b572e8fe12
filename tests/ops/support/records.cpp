#include "tests/ops/support/records.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <unordered_map>

#include "ingot/ir/core_ops.h"

namespace ingot {
namespace {

HostTensor random_tensor(const CaseInput& input, bool as_f64, std::mt19937& rng) {
  TensorType type = input.type;
  const bool real = is_float(type.dtype);
  if (real && as_f64) type.dtype = DType::f64;
  HostTensor tensor(type);
  for (std::int64_t i = 0; i < type.numel(); ++i) {
    if (real) {
      tensor.view().set(i, std::uniform_real_distribution<double>(input.low, input.high)(rng));
    } else {
      tensor.view().set_int(
          i, std::uniform_int_distribution<std::int64_t>(
                 static_cast<std::int64_t>(input.low), static_cast<std::int64_t>(input.high))(rng));
    }
  }
  return tensor;
}

std::vector<HostTensor> random_inputs(const OpCase& test, bool as_f64, std::mt19937& rng) {
  std::vector<HostTensor> tensors;
  for (const CaseInput& input : test.inputs) tensors.push_back(random_tensor(input, as_f64, rng));
  return tensors;
}

Node* build(Graph& graph, const OpDef& op, const AttrList& attrs,
            const std::vector<TensorType>& types) {
  std::vector<Value> inputs;
  for (std::size_t i = 0; i < types.size(); ++i) {
    inputs.push_back(graph.placeholder(fmt::format("x{}", i), types[i]));
  }
  return graph.add(op, inputs, attrs, "op");
}

std::vector<TensorType> types_of(const std::vector<HostTensor>& tensors) {
  std::vector<TensorType> types;
  for (const HostTensor& tensor : tensors) types.push_back(tensor.type());
  return types;
}

double dot(const HostTensor& a, const HostTensor& b) {
  double total = 0;
  for (std::int64_t i = 0; i < a.type().numel(); ++i) total += a.view().get(i) * b.view().get(i);
  return total;
}

HostTensor moved(const HostTensor& x, const HostTensor& direction, double step) {
  HostTensor result = x;
  for (std::int64_t i = 0; i < x.type().numel(); ++i) {
    result.view().set(i, x.view().get(i) + step * direction.view().get(i));
  }
  return result;
}

void check_case(const OpDef& op, const OpCase& test) {
  std::mt19937 rng(7);
  const std::vector<HostTensor> inputs = random_inputs(test, false, rng);
  Graph graph;
  const Node* node = build(graph, op, test.attrs, types_of(inputs));
  const std::vector<HostTensor> outputs = run_reference(*node, inputs);
  ASSERT_EQ(outputs.size(), node->outputs().size());
  EXPECT_EQ(op.outputs.size(), outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    EXPECT_EQ(outputs[i].type(), node->output_type(i));
    for (const double value : outputs[i].to_doubles()) EXPECT_TRUE(std::isfinite(value));
  }
  EXPECT_EQ(op.batch(*node, std::vector<int>(inputs.size(), -1)).size(), outputs.size());
  EXPECT_GE(op.cost(*node).flops, 0.0);
}

void check_gradient(const OpDef& op, const OpCase& test) {
  std::mt19937 rng(11);
  const std::vector<HostTensor> inputs = random_inputs(test, true, rng);
  Graph graph;
  Node* node = build(graph, op, test.attrs, types_of(inputs));
  std::vector<Value> outputs;
  std::vector<Value> grads;
  std::vector<HostTensor> feeds = inputs;
  for (std::size_t i = 0; i < node->outputs().size(); ++i) {
    outputs.push_back(node->output(static_cast<int>(i)));
    const TensorType& type = node->output_type(i);
    grads.push_back(graph.placeholder(fmt::format("g{}", i), type));
    feeds.push_back(random_tensor({type}, true, rng));
  }
  std::vector<Value> results = op.gradient.fn({*node, node->inputs(), outputs, grads});
  ASSERT_EQ(results.size(), inputs.size());

  double analytic = 0;
  double scale = 0;
  std::vector<HostTensor> directions;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    directions.push_back(is_float(inputs[i].type().dtype)
                             ? random_tensor({inputs[i].type()}, true, rng)
                             : HostTensor(inputs[i].type()));
    if (!results[i].valid()) continue;
    EXPECT_EQ(results[i].type(), inputs[i].type());
    const double part = dot(evaluate(graph, {results[i]}, feeds)[0], directions[i]);
    analytic += part;
    scale += std::abs(part);
  }
  constexpr double kStep = 1e-6;
  double numeric = 0;
  for (const double sign : {1.0, -1.0}) {
    std::vector<HostTensor> at;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      at.push_back(is_float(inputs[i].type().dtype) ? moved(inputs[i], directions[i], sign * kStep)
                                                    : inputs[i]);
    }
    const std::vector<HostTensor> values = run_reference(*node, at);
    for (std::size_t i = 0; i < values.size(); ++i) {
      numeric += sign * dot(values[i], feeds[inputs.size() + i]) / (2 * kStep);
    }
  }
  EXPECT_NEAR(analytic, numeric, 1e-7 + 1e-6 * scale);
}

void check_bad_case(const OpDef& op, const BadCase& test) {
  Graph graph;
  try {
    build(graph, op, test.attrs, test.inputs);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::user);
    EXPECT_EQ(error.message(), test.message);
    EXPECT_NE(error.message().find(op.constraint(test.constraint).text), std::string::npos);
  }
}

}  // namespace

std::vector<HostTensor> run_reference(const Node& node, const std::vector<HostTensor>& inputs) {
  if (node.op().body != nullptr) {
    Graph graph;
    std::vector<Value> arguments;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      arguments.push_back(graph.placeholder(fmt::format("x{}", i), inputs[i].type()));
    }
    return evaluate(graph, node.op().body(node, arguments), inputs);
  }
  std::vector<HostTensor> operands = inputs;
  std::vector<HostTensor> outputs;
  std::vector<HostView> in;
  std::vector<HostView> out;
  for (HostTensor& tensor : operands) in.push_back(tensor.view());
  for (const Node::Output& output : node.outputs()) outputs.emplace_back(output.type);
  for (HostTensor& tensor : outputs) out.push_back(tensor.view());
  StepError error;
  node.op().reference({node, in, out, &error});
  return outputs;
}

std::vector<HostTensor> evaluate(const Graph& graph, const std::vector<Value>& targets,
                                 const std::vector<HostTensor>& feeds) {
  std::unordered_map<const Node*, std::vector<HostTensor>> values;
  std::size_t next_feed = 0;
  for (const auto& node : graph.nodes()) {
    if (&node->op() == &constant_op()) {
      values[node.get()] = {*std::get<TensorAttr>(node->attr_value("value")).tensor};
    } else if (node->op().traits.source) {
      values[node.get()] = {feeds.at(next_feed++)};
    } else {
      std::vector<HostTensor> inputs;
      for (const Value& input : node->inputs()) {
        inputs.push_back(values.at(input.node())[static_cast<std::size_t>(input.index())]);
      }
      values[node.get()] = run_reference(*node, inputs);
    }
  }
  std::vector<HostTensor> results;
  for (const Value& target : targets) {
    results.push_back(values.at(target.node())[static_cast<std::size_t>(target.index())]);
  }
  return results;
}

void check_record(const OpDef& op) {
  SCOPED_TRACE(std::string(op.name));
  for (const OpCase& test : op.cases()) {
    SCOPED_TRACE(test.name);
    check_case(op, test);
    if (op.gradient.fn != nullptr && test.differentiable) check_gradient(op, test);
  }
  for (const BadCase& test : op.bad_cases()) {
    SCOPED_TRACE(test.name);
    check_bad_case(op, test);
  }
}

}  // namespace ingot
