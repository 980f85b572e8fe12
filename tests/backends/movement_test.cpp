// Reorders between layouts, and errors that only data can cause.
#include <gtest/gtest.h>

#include "ingot/ir/core_ops.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/node_run.h"

namespace ingot {
namespace {

TEST(Reorder, BetweenEveryPairOfLayouts) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  const std::vector<Shape> shapes{{2, 3, 5, 7}, {4, 16, 9, 8}, {40, 20, 3, 3}, {1, 64, 40, 40}};
  const std::vector<std::string> tags{"plain",    "aBcd8b",     "aBcd16b", "acdb",
                                      "ABcd8b8a", "ABcd16b16a", "Acdb16a", "ABcd4b16a4b"};
  for (const Shape& shape : shapes) {
    for (const std::string& from : tags) {
      for (const std::string& to : tags) {
        SCOPED_TRACE(shape.to_string() + " " + from + " to " + to);
        Graph graph;
        const Value x = graph.placeholder("x", {DType::f32, shape});
        x.node()->set_layout(0, Layout::parse(from));
        Node* node = graph.add(reorder_op(), {x}, {{"layout", to}});
        node->set_layout(0, Layout::parse(to));
        if (!one.supports(*node)) {
          // Steps of 4 and 8, of 8 and 16 and so on divide one another; nothing else is here.
          ADD_FAILURE() << one.supports(*node).reason;
          continue;
        }
        const std::vector<HostTensor> operands = random_operands(*node);
        const NodeRun run = run_node(*node, operands, one);
        EXPECT_EQ(run.outputs[0], operands[0]);
        EXPECT_EQ(run_node(*node, operands, two).outputs, run.outputs);
      }
    }
  }
}

/// What a run latches with these operands.
StepError latched(const Node& node, const std::vector<HostTensor>& inputs) {
  const CpuBackend backend({.threads = 1});
  std::vector<HostTensor> memory = inputs;
  KernelProblem problem{node, {}, {}};
  for (const Node::Output& output : node.outputs()) memory.emplace_back(output.type);
  std::vector<std::byte*> slots;
  for (HostTensor& tensor : memory) {
    auto& list = slots.size() < inputs.size() ? problem.inputs : problem.outputs;
    list.push_back(static_cast<int>(slots.size()));
    slots.push_back(tensor.bytes().data());
  }
  const auto kernel = backend.create_kernel(problem);
  std::vector<float> scratch(static_cast<std::size_t>(kernel->scratch_bytes()) / 4 + 1);
  StepErrorLatch errors;
  kernel->run({slots.data(), reinterpret_cast<std::byte*>(scratch.data()), &errors});
  return errors.error();
}

TEST(DataErrors, NameTheNodeTheRuleAndTheFirstBadIndex) {
  Graph graph;
  const Value logits = graph.placeholder("logits", {DType::f32, {3, 4}});
  const Value labels = graph.placeholder("labels", {DType::i32, {3}});
  const Value loss = ops::cross_entropy(logits, labels);
  const Value hot = ops::one_hot(labels, 4, DType::f32);
  const Value rows = ops::gather(logits, labels, 0);
  const HostTensor x = random_tensor(logits.type(), 1);
  const HostTensor bad({DType::i32, {3}}, std::vector<double>{1, 4, -1});
  EXPECT_EQ(latched(*loss.node(), {x, bad}), (StepError{loss.node()->id(), 4, 4, 1}));
  EXPECT_EQ(latched(*hot.node(), {bad}), (StepError{hot.node()->id(), 3, 4, 1}));
  EXPECT_EQ(latched(*rows.node(), {x, bad}), (StepError{rows.node()->id(), 4, 4, 1}));
  const HostTensor good({DType::i32, {3}}, std::vector<double>{1, 2, 0});
  EXPECT_EQ(latched(*loss.node(), {x, good}), StepError{});
}

}  // namespace
}  // namespace ingot
