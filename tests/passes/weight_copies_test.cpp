#include "ingot/passes/weight_copies.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
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

/// y = x w + b in bf16, whose two weights one Node updates; a third one has no conversion.
struct Net {
  Graph graph;
  Value w = parameter("w", {3, 2});
  Value b = parameter("b", {2});
  Value norm = parameter("norm", {2});
  Value low_w = ops::cast(w, DType::bf16, {});
  Value low_b = ops::cast(b, DType::bf16, {});

  Value parameter(const std::string& name, Shape shape) {
    return graph.variable(name, {DType::f32, shape}, Initializer::constant(1));
  }

  Net() {
    const Value x = ops::cast(graph.placeholder("x", {DType::f32, {4, 3}}), DType::bf16, {});
    graph.fetch("y", ops::matmul(x, low_w, false, false) + low_b);
  }

  void update(const std::vector<Value>& parameters, Value predicate = {}) {
    const std::vector<std::string> names{"lr", "p", "g", "m"};
    std::vector<ops::OptimizerOperand> operands;
    for (const Value& p : parameters) {
      const Value m = graph.variable(p.node()->name() + ".m", p.type(), Initializer::constant(0),
                                     VariableRole::optimizer_state);
      operands.push_back({p, p * 0.5 + 1.0, {m}});
    }
    const Value lr =
        graph.variable("lr", {DType::f32, {}}, Initializer::constant(0.5), VariableRole::counter);
    const auto results = ops::optimizer_update(
        ScalarProgram::parse("v = 0.9 * m + g; p - lr * v, v", names), {{lr}}, operands);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const auto when = predicate.valid() ? std::optional(predicate) : std::nullopt;
      graph.assign(parameters[i], results[i].parameter, when);
      graph.assign(operands[i].states[0], results[i].states[0]);
    }
  }
};

std::unique_ptr<Graph> kept(const Graph& graph, FakeTarget target = {},
                            std::set<std::string, std::less<>> external = {}) {
  target.keeps_copies = true;
  PassContext context(target);
  context.external = std::move(external);
  auto result = weight_copies(graph, context);
  verify(*result, "weight_copies");
  expect_equivalent(graph, *result);
  std::int64_t copies = 0;
  for (const Node* node : result->nodes_of(weight_copies_op())) {
    copies += std::ssize(node->outputs());
  }
  EXPECT_EQ(context.statistics["weight_copies.kept"], copies);
  return result;
}

/// The variables of which there are copies, in order.
std::vector<std::string> copied(const Graph& graph) {
  std::vector<std::string> names;
  for (Node* node : graph.nodes_of(weight_copies_op())) {
    for (int i = 0; i < static_cast<int>(node->outputs().size()); ++i) {
      names.push_back(copied_variable(node->output(i)).name());
    }
  }
  return names;
}

TEST(WeightCopies, AnUpdateGivesTheConversionsOfTheNextStep) {
  Net net;
  net.update({net.w, net.norm, net.b});
  const auto result = kept(net.graph);
  EXPECT_EQ(copied(*result), (std::vector<std::string>{"w", "b"}));
  const auto regions = result->nodes_of(fused_op());
  ASSERT_EQ(regions.size(), 1u);
  EXPECT_EQ(count_ops(*regions[0]->body(), "optimizer_update"), 1);
  EXPECT_EQ(regions[0]->outputs().size(), 8u);
  EXPECT_EQ(result->assign_of("w")->input(1), regions[0]->output(0));
  EXPECT_EQ(result->assign_of("b.m")->input(1), regions[0]->output(5));
  const auto copies = result->nodes_of(weight_copies_op());
  EXPECT_EQ(copy_after_step(copies[0]->output()), regions[0]->output(6));
  EXPECT_EQ(copy_after_step(copies[1]->output()), regions[0]->output(7));

  // It is what the next step converts.
  const Evaluation step = testing_support::evaluate_random(*result, 3);
  Graph next;
  const TensorType type = step.assigned.at("w").type();
  next.fetch("low", ops::cast(next.placeholder("w", type), DType::bf16));
  const HostTensor want = evaluate(next, {{"w", step.assigned.at("w")}}, {}).fetches.at("low");
  Graph fetching = std::move(*clone_graph(*result));
  fetching.fetch("low", fetching.nodes_of(fused_op())[0]->output(6));
  EXPECT_EQ(testing_support::evaluate_random(fetching, 3).fetches.at("low"), want);
}

TEST(WeightCopies, WeightsThatNobodyWritesHaveOnesToo) {
  Net net;
  net.update({net.b});
  const auto result = kept(net.graph);
  EXPECT_EQ(copied(*result), (std::vector<std::string>{"w", "b"}));
  EXPECT_FALSE(copy_after_step(result->nodes_of(weight_copies_op())[0]->output()).valid());
}

TEST(WeightCopies, WhatIsConvertedTogetherAndNotKeptStaysTogether) {
  for (const std::set<std::string, std::less<>>& external :
       {std::set<std::string, std::less<>>{"w"}, {"w", "b"}, {"w", "b", "v"}}) {
    Graph graph;
    auto body = std::make_unique<Graph>();
    std::vector<Value> operands;
    for (const std::string name : {"w", "b", "v"}) {
      operands.push_back(graph.variable(name, {DType::f32, {2}}, Initializer::constant(1)));
      const Value argument =
          body->argument(static_cast<int>(operands.size()) - 1, operands.back().type());
      body->fetch(name, ops::cast(argument, DType::f16));
    }
    Node* region = graph.add_region(fused_op(), operands, std::move(body));
    graph.fetch("y", region->output(0) * region->output(1) * region->output(2));
    const auto result = kept(graph, {}, external);
    EXPECT_EQ(copied(*result).size(), 3 - external.size());
    EXPECT_EQ(count_ops(*result, "cast"), external.size() == 1 ? 1 : 0);
    EXPECT_EQ(count_ops(*result, "fused"), external.size() == 1 ? 0 : 1);
  }
}

TEST(WeightCopies, MemoryOfTheCallersIsConvertedInEachStep) {
  Net net;
  net.update({net.w, net.b});
  EXPECT_EQ(copied(*kept(net.graph, {}, {"w"})), std::vector<std::string>{"b"});
}

TEST(WeightCopies, WhatIsReadAfterTheUpdateIsConvertedInEachStep) {
  Net net;
  net.update({net.w, net.b});
  net.graph.fetch("low", net.low_w);
  const Value old = net.graph.variable("old", net.low_b.type(), Initializer::constant(0));
  net.graph.assign(old, net.low_b);
  EXPECT_TRUE(copied(*kept(net.graph)).empty());
}

TEST(WeightCopies, WeightsThatAreAssignedOtherwiseAreConvertedInEachStep) {
  Net net;
  net.graph.assign(net.w, net.w * 0.5);
  net.update({net.b}, ops::elementwise("gt", {ops::sum(net.norm, {}), net.graph.scalar(1)}));
  EXPECT_TRUE(copied(*kept(net.graph)).empty());
}

TEST(WeightCopies, OnlyWeightsInFewerBitsAreKept) {
  Graph graph;
  const Value wide =
      ops::cast(graph.variable("w", {DType::f16, {2}}, Initializer::constant(1)), DType::f32);
  const Value counter = ops::cast(
      graph.variable("n", {DType::f32, {2}}, Initializer::constant(1), VariableRole::counter),
      DType::f16);
  const Value whole =
      ops::cast(graph.variable("v", {DType::f32, {2}}, Initializer::constant(1)), DType::i8);
  graph.fetch("y", wide * ops::cast(counter, DType::f32) * ops::cast(whole, DType::f32));
  EXPECT_TRUE(copied(*kept(graph)).empty());
}

TEST(WeightCopies, ATargetMayHaveNoKernels) {
  Net net;
  net.update({net.w, net.b});
  FakeTarget without_conversions;
  without_conversions.unsliced = {"weight_copies"};
  EXPECT_TRUE(copied(*kept(net.graph, without_conversions)).empty());

  FakeTarget without_update;
  without_update.unsliced = {"fused"};
  const TraceCapture capture("dispatch");
  EXPECT_TRUE(copied(*kept(net.graph, without_update)).empty());
  EXPECT_EQ(capture.lines(),
            std::vector<std::string>{"weight_copies: \"optimizer_update_0\" writes no copies: no "
                                     "kernel for slices"});
  PassContext context(without_update);
  EXPECT_EQ(weight_copies(net.graph, context)->size(), net.graph.size());
}

}  // namespace
}  // namespace ingot
