// Every record against itself: its cases run, its bad cases give their exact message, and its
// gradient agrees with finite differences in double.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ingot/autodiff/gradients.h"
#include "ingot/base/philox.h"
#include "ingot/ir/convert_dtype.h"
#include "ingot/ir/evaluate.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/registry.h"

namespace ingot {
namespace {

HostTensor random_tensor(const CaseInput& input, std::uint32_t stream) {
  HostTensor tensor(input.type);
  const bool real = is_float(input.type.dtype);
  for (std::int64_t i = 0; i < tensor.view().numel(); ++i) {
    const double u = philox_uniform(17, stream, 0, static_cast<std::uint64_t>(i));
    const double span = input.high - input.low + (real ? 0 : 1);
    tensor.view().set(i, real ? input.low + span * u : std::floor(input.low + span * u));
  }
  return tensor;
}

/// A Graph of one op: placeholders x0, x1, ..., the results fetched as y0, y1, ...
struct Single {
  Graph graph;
  std::vector<Value> inputs;
  Node* node = nullptr;
};

void build(Single& single, const OpDef& op, const OpCase& item) {
  for (std::size_t i = 0; i < item.inputs.size(); ++i) {
    single.inputs.push_back(single.graph.placeholder(fmt::format("x{}", i), item.inputs[i].type));
  }
  single.node = single.graph.add(op, single.inputs, item.attrs, "op");
}

HostTensors feeds_for(const Graph& graph, const OpCase& item) {
  HostTensors feeds;
  for (std::size_t i = 0; i < item.inputs.size(); ++i) {
    const std::string name = fmt::format("x{}", i);
    CaseInput input = item.inputs[i];
    input.type = graph.find(name)->output_type();
    feeds.emplace(name, random_tensor(input, static_cast<std::uint32_t>(i)));
  }
  return feeds;
}

std::string label(const OpDef& op, std::string_view item) {
  return fmt::format("{}: {}", op.name, item);
}

class Record : public testing::TestWithParam<const OpDef*> {};

TEST_P(Record, CasesRun) {
  const OpDef& op = *GetParam();
  for (const OpCase& item : op.cases != nullptr ? op.cases() : std::vector<OpCase>{}) {
    SCOPED_TRACE(label(op, item.name));
    Single single;
    build(single, op, item);
    for (int i = 0; i < std::ssize(single.node->outputs()); ++i) {
      single.graph.fetch(fmt::format("y{}", i), single.node->output(i));
    }
    const Evaluation result = evaluate(single.graph, feeds_for(single.graph, item));
    EXPECT_EQ(result.error.node, -1);
    if (op.cost != nullptr) {
      EXPECT_GE(op.cost(*single.node).bytes, 0);
    }
    if (op.reduction_length != nullptr) {
      EXPECT_GE(op.reduction_length(*single.node), 0);
    }
    ASSERT_NE(op.batch, nullptr);
    const std::vector<int> none(item.inputs.size(), -1);
    for (const BatchResult& batch : op.batch(*single.node, none)) {
      EXPECT_EQ(batch.kind, BatchKind::none);
    }
  }
}

TEST_P(Record, BadCasesGiveTheirMessage) {
  const OpDef& op = *GetParam();
  for (const BadCase& bad : op.bad_cases != nullptr ? op.bad_cases() : std::vector<BadCase>{}) {
    SCOPED_TRACE(label(op, bad.name));
    EXPECT_FALSE(op.constraint(bad.constraint).text.empty());
    Graph graph;
    std::vector<Value> inputs;
    for (std::size_t i = 0; i < bad.inputs.size(); ++i) {
      inputs.push_back(graph.placeholder(fmt::format("x{}", i), bad.inputs[i]));
    }
    try {
      graph.add(op, inputs, bad.attrs, "op");
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), bad.message);
    }
  }
}

TEST_P(Record, GradientAgreesWithDifferences) {
  const OpDef& op = *GetParam();
  if (op.gradient.fn == nullptr && !op.gradient.not_differentiable.empty()) return;
  for (const OpCase& item : op.cases != nullptr ? op.cases() : std::vector<OpCase>{}) {
    if (!item.differentiable) continue;
    SCOPED_TRACE(label(op, item.name));
    Single single;
    build(single, op, item);
    Graph& graph = single.graph;
    // The loss weighs every result's elements differently.
    Value loss = graph.scalar(0.0, DType::f64);
    for (int i = 0; i < std::ssize(single.node->outputs()); ++i) {
      const Value y = single.node->output(i);
      if (!is_float(y.dtype())) continue;
      const HostTensor weight = random_tensor({y.type(), 0.5, 1.5}, 100);
      loss = loss + ops::cast(ops::sum(y * graph.constant(weight), {}), DType::f64);
    }
    std::vector<Value> wrt;
    for (const Value& input : single.inputs) {
      if (is_float(input.dtype())) wrt.push_back(input);
    }
    if (wrt.empty()) continue;
    const std::vector<Value> grads = gradients(loss, wrt);
    graph.fetch("loss", loss);
    for (std::size_t i = 0; i < grads.size(); ++i) {
      graph.fetch("d" + wrt[i].node()->name(), grads[i]);
    }
    const auto doubles = with_float_dtype(graph, DType::f64);
    const HostTensors feeds = feeds_for(*doubles, item);
    const Evaluation at = evaluate(*doubles, feeds);
    const double step = 1e-6;
    HostTensors up = feeds;
    HostTensors down = feeds;
    double predicted = 0;
    for (const Value& input : wrt) {
      const std::string& name = input.node()->name();
      const HostView u = up.at(name).view();
      const HostView d = down.at(name).view();
      const HostTensor direction =
          random_tensor({u.type, -1, 1}, 200 + static_cast<std::uint32_t>(input.node()->id()));
      for (std::int64_t i = 0; i < u.numel(); ++i) {
        const double v = direction.view().get(i);
        u.set(i, u.get(i) + step * v);
        d.set(i, d.get(i) - step * v);
        predicted += at.fetches.at("d" + name).view().get(i) * v;
      }
    }
    const double difference = (evaluate(*doubles, up).fetches.at("loss").view().get(0) -
                               evaluate(*doubles, down).fetches.at("loss").view().get(0)) /
                              (2 * step);
    EXPECT_NEAR(predicted, difference, 1e-6 * (1 + std::fabs(difference)));
  }
}

std::vector<const OpDef*> records() {
  std::vector<const OpDef*> result;
  for (const OpDef* op : all_ops()) {
    if (op->cases != nullptr) result.push_back(op);
  }
  return result;
}

INSTANTIATE_TEST_SUITE_P(All, Record, testing::ValuesIn(records()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace ingot
