#include <gtest/gtest.h>

#include "ingot/autodiff/gradients.h"
#include "ingot/base/trace.h"
#include "ingot/passes/passes.h"
#include "tests/passes/support/fake_target.h"
#include "tests/passes/support/graphs.h"

namespace ingot {
namespace {

using testing_support::count_ops;
using testing_support::expect_equivalent;
using testing_support::FakeTarget;

const Layout kBlocked = Layout::channels_blocked(8);
const Layout kWeight({}, {{1, 8}, {0, 8}});

/// Two convolutions with an activation between, pooled, trained by momentum.
struct Net {
  Graph graph;
  Net() {
    const Value x = graph.placeholder("x", {DType::f32, {2, 8, 6, 6}});
    const Conv2dOptions same{.padding = {1, 1, 1, 1}};
    const Value w1 = parameter("w1", {16, 8, 3, 3});
    const Value w2 = parameter("w2", {16, 16, 3, 3});
    Value y = ops::relu(ops::conv2d(x, w1, same));
    y = ops::relu(ops::conv2d(y, w2, same) + y);
    const Value loss = ops::mean(ops::sum(y * y, {2, 3}), {});
    const std::vector<Value> wrt{w1, w2};
    const std::vector<Value> grads = gradients(loss, wrt);
    const std::vector<std::string> names{"lr", "p", "g", "m"};
    const auto rule = ScalarProgram::parse("v = 0.9 * m + g; p - lr * v, v", names);
    std::vector<ops::OptimizerOperand> tensors;
    for (std::size_t i = 0; i < 2; ++i) {
      tensors.push_back(
          {wrt[i], grads[i], {parameter("m" + wrt[i].node()->name(), wrt[i].shape())}});
    }
    const std::vector<Value> scalars{graph.scalar(0.1)};
    const auto results = ops::optimizer_update(rule, scalars, tensors);
    for (std::size_t i = 0; i < 2; ++i) {
      graph.assign(wrt[i], results[i].parameter);
      graph.assign(tensors[i].states[0], results[i].states[0]);
    }
    graph.fetch("loss", loss);
  }
  Value parameter(std::string name, Shape shape) {
    return graph.variable(std::move(name), {DType::f32, shape}, Initializer::constant(0.1));
  }
};

std::unique_ptr<Graph> clean(const Graph& graph, PassContext& context) {
  auto lowered = simplify(*lower_composites(graph, context), context);
  return eliminate_dead_code(*eliminate_common_subexpressions(*lowered, context), context);
}

TEST(Layouts, ReorderOnceAtTheEdgeAndKeepEverythingElseBlocked) {
  const Net net;
  const FakeTarget target;
  for (const bool with_fusion : {false, true}) {
    PassContext context(target);
    auto graph = clean(net.graph, context);
    if (with_fusion) graph = fuse(*graph, context);
    const auto after = assign_layouts(*graph, context);
    // The input, for both uses.
    EXPECT_EQ(count_ops(*after, "reorder"), 1);
    EXPECT_EQ(context.statistics["layouts.reorders"], 1);
    for (const char* name : {"w1", "w2", "mw1", "mw2"}) {
      EXPECT_EQ(context.variable_layouts.at(name), kWeight) << name;
      EXPECT_EQ(after->find(name)->output().layout(), kWeight) << name;
      EXPECT_EQ(after->assign_of(name)->input(1).layout(), kWeight) << name;
    }
    for (const auto& node : after->nodes()) {
      if (node->op().name == "conv2d" || node->op().name == "relu") {
        EXPECT_EQ(node->output().layout(), kBlocked);
      }
    }
    EXPECT_TRUE(after->fetches()[0].value.layout().is_plain());
    expect_equivalent(net.graph, *after, 1e-4);
  }
}

TEST(Layouts, HonourFixedLayoutsOfVariables) {
  const Net net;
  const FakeTarget target;
  PassContext context(target);
  context.fixed_layouts["w1"] = Layout{};
  const auto after = assign_layouts(*clean(net.graph, context), context);
  EXPECT_TRUE(context.variable_layouts.at("w1").is_plain());
  EXPECT_TRUE(after->assign_of("w1")->input(1).layout().is_plain());
  EXPECT_EQ(context.variable_layouts.at("w2"), kWeight);
  EXPECT_GE(context.statistics["layouts.variable_reorders"], 1);
  expect_equivalent(net.graph, *after, 1e-4);
}

TEST(Layouts, OfNodesThatRefuseArePlain) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 8, 4, 4}});
  const Value w = graph.variable("w", {DType::f32, {8, 8, 1, 1}}, Initializer::constant(1));
  graph.fetch("y", ops::conv2d(ops::tanh(ops::conv2d(x, w)), w));
  FakeTarget target;
  target.plain_only = {"tanh"};
  PassContext context(target);
  const auto after = assign_layouts(graph, context);
  for (const auto& node : after->nodes()) {
    if (node->op().name == "tanh") {
      EXPECT_TRUE(node->output().layout().is_plain());
      EXPECT_TRUE(node->input(0).layout().is_plain());
    }
  }
  // Before the first convolution, around tanh, and of the result.
  EXPECT_EQ(count_ops(*after, "reorder"), 4);
  expect_equivalent(graph, *after, 1e-5);
}

TEST(Layouts, OfBroadcastOperandsStayPlain) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 8, 4, 4}});
  const Value w = graph.variable("w", {DType::f32, {8, 8, 1, 1}}, Initializer::constant(1));
  const Value b = graph.variable("b", {DType::f32, {1, 8, 1, 1}}, Initializer::constant(1));
  graph.fetch("y", ops::conv2d(ops::conv2d(x, w) * b, w));
  const FakeTarget target;
  PassContext context(target);
  const auto after = assign_layouts(graph, context);
  EXPECT_TRUE(context.variable_layouts.at("b").is_plain());
  EXPECT_EQ(count_ops(*after, "reorder"), 2);
}

TEST(Layouts, OfPoolingFollowTheImage) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 8, 4, 4}});
  const Value w = graph.variable("w", {DType::f32, {8, 8, 1, 1}}, Initializer::constant(1));
  const MaxPool2dOptions pool{.kernel = {2, 2}};
  graph.fetch("y", ops::conv2d(ops::max_pool2d(ops::conv2d(x, w), pool), w));
  const FakeTarget target;
  PassContext context(target);
  const auto after = assign_layouts(graph, context);
  EXPECT_EQ(count_ops(*after, "reorder"), 2);
  expect_equivalent(graph, *after, 1e-5);
}

TEST(Layouts, OfReductionsResultsArePlain) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 8, 4, 4}});
  const Value w = graph.variable("w", {DType::f32, {8, 8, 1, 1}}, Initializer::constant(1));
  const Value y = ops::conv2d(x, w);
  graph.fetch("mean", ops::mean(y, {2, 3}, true));
  graph.fetch("sum", ops::sum(y, {2, 3}, true));
  FakeTarget target;
  target.claimed = {"mean"};
  PassContext context(target);
  const auto after = assign_layouts(graph, context);
  EXPECT_EQ(count_ops(*after, "reorder"), 1);
  for (const auto& node : after->nodes()) {
    if (node->op().name == "mean" || node->op().name == "sum") {
      EXPECT_EQ(node->input(0).layout(), kBlocked);
      EXPECT_TRUE(node->output().layout().is_plain());
    }
  }
}

TEST(Layouts, TraceEachReorder) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 8, 4, 4}});
  const Value w = graph.variable("w", {DType::f32, {8, 8, 1, 1}}, Initializer::constant(1));
  graph.fetch("y", ops::sum(ops::conv2d(x, w), {2, 3}));
  const FakeTarget target;
  PassContext context(target);
  const TraceCapture capture("dispatch");
  assign_layouts(graph, context);
  EXPECT_EQ(
      capture.lines(),
      (std::vector<std::string>{"layouts: reorder of \"x\" f32[2,8,4,4] from plain to aBcd8b"}));
}

}  // namespace
}  // namespace ingot
