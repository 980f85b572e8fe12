#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ingot/base/trace.h"
#include "ingot/ir/verifier.h"
#include "ingot/ops/op_list.h"
#include "ingot/passes/passes.h"
#include "tests/passes/support/fake_target.h"
#include "tests/passes/support/graphs.h"

namespace ingot {
namespace {

using testing_support::count_ops;
using testing_support::expect_equivalent;
using testing_support::FakeTarget;

TensorType f32(Shape shape) { return {DType::f32, shape}; }

/// Two products' gradients, and a bias's, with their updates by SGD with momentum in one Node.
struct Net {
  Graph graph;
  std::vector<Value> parameters, gradients;

  Net() {
    const Value x = graph.placeholder("x", f32({4, 64}));
    const Value y = ops::relu(graph.placeholder("y", f32({4, 32})));
    const Value z = ops::tanh(graph.placeholder("z", f32({4, 3})));
    parameter("wide", ops::matmul(y, x, true));
    parameter("narrow", ops::matmul(z, y, true));
    parameter("bias", ops::sum(y, {0}));
  }

  void parameter(const std::string& name, Value gradient) {
    gradients.push_back(gradient);
    parameters.push_back(graph.variable(name, f32(gradient.shape()), Initializer::constant(1)));
  }

  void update() {
    const std::vector<std::string> names{"lr", "p", "g", "m"};
    std::vector<ops::OptimizerOperand> operands;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const std::string state = parameters[i].node()->name() + ".m";
      operands.push_back(
          {parameters[i],
           gradients[i],
           {graph.variable(state, f32(parameters[i].shape()), Initializer::constant(0))}});
    }
    const Value lr = graph.variable("lr", f32({}), Initializer::constant(0.5));
    const auto results = ops::optimizer_update(
        ScalarProgram::parse("v = 0.9 * m + g; p - lr * v, v", names), {{lr}}, operands);
    for (std::size_t i = 0; i < results.size(); ++i) {
      graph.assign(parameters[i], results[i].parameter);
      graph.assign(operands[i].states[0], results[i].states[0]);
    }
  }
};

FakeTarget joining_target() {
  FakeTarget target;
  target.joins_updates = true;
  return target;
}

std::unique_ptr<Graph> joined(const Graph& graph, const FakeTarget& target = joining_target()) {
  PassContext context(target);
  auto result = fuse_updates(graph, context);
  verify(*result, "fuse_updates");
  expect_equivalent(graph, *result);
  return result;
}

std::size_t tensors_of(const Node& update) { return (update.inputs().size() - 1) / 3; }

TEST(FuseUpdates, AWeightIsUpdatedByWhatMakesItsGradient) {
  Net net;
  net.update();
  const auto result = joined(net.graph);
  const auto regions = result->nodes_of(fused_op());
  ASSERT_EQ(regions.size(), 1u);
  EXPECT_EQ(count_ops(*regions[0]->body(), "matmul"), 1);
  EXPECT_EQ(count_ops(*regions[0]->body(), "optimizer_update"), 1);
  EXPECT_EQ(result->assign_of("wide")->input(1), regions[0]->output(0));
  EXPECT_EQ(result->assign_of("wide.m")->input(1), regions[0]->output(1));
  // The others stay together.
  const auto rest = result->nodes_of(optimizer_update_op());
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(tensors_of(*rest[0]), 2u);
  EXPECT_EQ(result->assign_of("narrow")->input(1), rest[0]->output(0));
  EXPECT_EQ(result->assign_of("bias.m")->input(1), rest[0]->output(3));
}

TEST(FuseUpdates, NothingIsLeftOfAnUpdateWhoseTensorsAllJoin) {
  Net net;
  net.parameters.resize(1);
  net.gradients.resize(1);
  net.update();
  const auto result = joined(net.graph);
  EXPECT_EQ(result->nodes_of(fused_op()).size(), 1u);
  EXPECT_TRUE(result->nodes_of(optimizer_update_op()).empty());
}

TEST(FuseUpdates, AGradientThatSomethingElseReadsIsMadeApart) {
  for (const bool fetched : {false, true}) {
    Net net;
    net.update();
    if (fetched) {
      net.graph.fetch("gradient", net.gradients[0]);
    } else {
      net.graph.fetch("norm", ops::sum(net.gradients[0] * net.gradients[0], {}));
    }
    EXPECT_TRUE(joined(net.graph)->nodes_of(fused_op()).empty());
  }
}

TEST(FuseUpdates, ATargetMayRefuseToFuseOrHaveNoKernel) {
  Net net;
  net.update();
  EXPECT_TRUE(joined(net.graph, FakeTarget{})->nodes_of(fused_op()).empty());
  FakeTarget without_kernel = joining_target();
  without_kernel.unsliced = {"fused"};
  EXPECT_TRUE(joined(net.graph, without_kernel)->nodes_of(fused_op()).empty());
}

TEST(FuseUpdates, TracesWhatIsUpdatedApart) {
  Net needed;
  needed.graph.fetch("norm", ops::sum(needed.gradients[0], {}));
  needed.update();
  Net refused;
  refused.parameters.resize(1);
  refused.gradients.resize(1);
  refused.update();
  FakeTarget target = joining_target();
  target.refused = {"matmul"};
  const TraceCapture capture("dispatch");
  (void)joined(needed.graph);
  (void)joined(refused.graph, target);
  EXPECT_EQ(capture.lines(),
            (std::vector<std::string>{
                "fuse_updates: \"wide\" is updated apart: its gradient is needed elsewhere",
                "fuse_updates: \"narrow\" is updated apart: its gradient is made of 560 bytes and "
                "takes 384",
                "fuse_updates: \"bias\" is updated apart: its gradient is made of 512 bytes and "
                "takes 128",
                "fuse_updates: \"wide\" is updated apart: nothing follows matmul"}));
}

}  // namespace
}  // namespace ingot
