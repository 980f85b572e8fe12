#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ingot/autodiff/gradients.h"
#include "ingot/ops/ops.h"
#include "tests/conformance/support/checks.h"

namespace ingot::conformance {
namespace {

constexpr double kStep = 1e-5;
constexpr std::uint32_t kWeights = 1000;     // variants of feeds() that serve as weights of outputs
constexpr std::uint32_t kDirections = 2000;  // and as directions

std::vector<std::size_t> float_inputs(const Node& node) {
  std::vector<std::size_t> inputs;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    if (is_float(node.input_type(i).dtype) && node.input_type(i).numel() > 0) inputs.push_back(i);
  }
  return inputs;
}

/// Whether the record passes a gradient of output `k` on to any input.
bool carries_gradient(const Node& node, std::size_t k) {
  const auto scratch = clone_graph(node.graph());
  Node& copy = op_node(*scratch);
  std::vector<Value> outputs;
  for (std::size_t i = 0; i < copy.outputs().size(); ++i) {
    outputs.push_back(copy.output(static_cast<int>(i)));
  }
  std::vector<Value> grads(outputs.size());
  grads[k] = scratch->full(copy.output_type(k), 1.0);
  const std::vector<Value> result = copy.op().gradient.fn({copy, copy.inputs(), outputs, grads});
  EXPECT_EQ(result.size(), copy.inputs().size()) << "one gradient an input";
  return std::any_of(result.begin(), result.end(), [](const Value& v) { return v.valid(); });
}

std::vector<std::size_t> differentiable_outputs(const Node& node) {
  std::vector<std::size_t> outputs;
  for (std::size_t k = 0; k < node.outputs().size(); ++k) {
    if (is_float(node.output_type(k).dtype) && node.output_type(k).numel() > 0 &&
        carries_gradient(node, k)) {
      outputs.push_back(k);
    }
  }
  return outputs;
}

/// A random linear functional of the outputs.
Value add_loss(Graph& graph, std::span<const std::size_t> outputs) {
  Value loss;
  for (const std::size_t k : outputs) {
    const Value y = op_node(graph).output(static_cast<int>(k));
    const auto stream = kWeights + static_cast<std::uint32_t>(k);
    const Value weights = graph.constant(random_tensor(y.type(), {{}, 0.5, 1.5}, stream));
    const Value signs = graph.constant(random_tensor(y.type(), {{}, -1, 1}, stream + 500));
    const Value term = ops::sum(ops::mul(ops::add(weights, signs), y), {});
    loss = loss.valid() ? ops::add(loss, term) : term;
  }
  graph.fetch("loss", loss);
  return loss;
}

double loss_at(const Graph& graph, const HostTensors& feeds) {
  return evaluate(graph, feeds).fetches.at("loss").to_doubles().front();
}

HostTensors moved(HostTensors feeds, std::span<const std::size_t> inputs,
                  const std::vector<HostTensor>& directions, double step) {
  for (const std::size_t i : inputs) {
    const HostView x = feeds.at(input_name(i)).view();
    for (std::int64_t e = 0; e < x.numel(); ++e) {
      x.set(e, x.get(e) + step * directions[i].view().get(e));
    }
  }
  return feeds;
}

}  // namespace

bool has_gradient_check(const Case& item) {
  if (item.op().gradient.fn == nullptr || !item.item().differentiable) return false;
  const auto graph = item.graph();
  return !float_inputs(op_node(*graph)).empty() && !differentiable_outputs(op_node(*graph)).empty();
}

namespace {

/// The case in f64 with a loss, and the loss's gradients "g0", "g1", ... by the records.
struct Derivatives {
  std::unique_ptr<Graph> forward;
  std::vector<std::size_t> inputs;
  HostTensors feeds;
  HostTensors gradients;

  explicit Derivatives(const Case& item)
      : forward(item.graph(DType::f64)), inputs(float_inputs(op_node(*forward))) {
    const std::vector<std::size_t> outputs = differentiable_outputs(op_node(*forward));
    const auto backward = clone_graph(*forward);
    add_loss(*forward, outputs);
    const Value loss = add_loss(*backward, outputs);
    std::vector<Value> wrt;
    for (const std::size_t i : inputs) wrt.push_back(backward->find(input_name(i))->output());
    const std::vector<Value> grads = ingot::gradients(loss, wrt);
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      backward->fetch("g" + std::to_string(inputs[k]), grads[k]);
    }
    feeds = item.feeds(*forward);
    gradients = evaluate(*backward, feeds).fetches;
  }
  [[nodiscard]] const HostTensor& gradient(std::size_t input) const {
    return gradients.at("g" + std::to_string(input));
  }
};

}  // namespace

bool gradient_is_zero(const Case& item) {
  const Derivatives derivatives(item);
  return std::all_of(derivatives.inputs.begin(), derivatives.inputs.end(), [&](std::size_t i) {
    const std::vector<double> values = derivatives.gradient(i).to_doubles();
    return std::all_of(values.begin(), values.end(), [](double x) { return x == 0; });
  });
}

void check_gradient(const Case& item) {
  const Derivatives derivatives(item);
  const Graph& forward = *derivatives.forward;
  std::vector<HostTensor> directions(op_node(forward).inputs().size());
  for (const std::size_t i : derivatives.inputs) {
    directions[i] = random_tensor(op_node(forward).input_type(i), {{}, -1, 1},
                                  kDirections + static_cast<std::uint32_t>(i));
  }
  // Along each input alone, so that no error hides behind a larger gradient.
  for (const std::size_t i : derivatives.inputs) {
    SCOPED_TRACE("with respect to operand " + std::to_string(i));
    const HostTensor& gradient = derivatives.gradient(i);
    ASSERT_EQ(gradient.type(), op_node(forward).input_type(i));
    double expected = 0;
    double scale = 0;
    for (std::int64_t e = 0; e < gradient.type().numel(); ++e) {
      const double term = gradient.view().get(e) * directions[i].view().get(e);
      expected += term;
      scale += std::fabs(term);
    }
    const std::vector<std::size_t> one{i};
    const double difference = loss_at(forward, moved(derivatives.feeds, one, directions, kStep)) -
                              loss_at(forward, moved(derivatives.feeds, one, directions, -kStep));
    EXPECT_NEAR(expected, difference / (2 * kStep), 1e-6 * scale + 1e-7);
  }
}

}  // namespace ingot::conformance
