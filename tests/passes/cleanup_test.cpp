// Dead code, common subexpressions, composites.
#include <gtest/gtest.h>

#include "ingot/passes/passes.h"
#include "tests/passes/support/fake_target.h"
#include "tests/passes/support/graphs.h"

namespace ingot {
namespace {

using testing_support::count_ops;
using testing_support::expect_equivalent;
using testing_support::FakeTarget;

TEST(DeadCode, KeepsWhatFetchesAndAssignsNeed) {
  const FakeTarget target;
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {4}});
  graph.placeholder("unused", {DType::f32, {4}});
  const Value state = graph.variable("state", {DType::f32, {4}}, Initializer::constant(0));
  graph.fetch("y", ops::tanh(x));
  graph.assign(state, ops::exp(x));
  ops::sqrt(ops::exp(ops::exp(x)));
  PassContext context(target);
  const auto after = eliminate_dead_code(graph, context);
  EXPECT_EQ(count_ops(*after, "exp"), 1);
  EXPECT_EQ(count_ops(*after, "sqrt"), 0);
  EXPECT_NE(after->find("unused"), nullptr);
  EXPECT_EQ(context.statistics["dead_code.dropped"], 3 + 1);
  expect_equivalent(graph, *after);
}

TEST(CommonSubexpressions, AreComputedOnce) {
  const FakeTarget target;
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {4}});
  const Value a = ops::exp(x) + graph.scalar(2);
  const Value b = ops::exp(x) + graph.scalar(2);
  const Value c = ops::exp(x) + graph.scalar(3);
  graph.fetch("y", a * b * c);
  graph.fetch("sum", ops::sum(x, {0}, false));
  graph.fetch("kept", ops::sum(x, {0}, true));
  PassContext context(target);
  const auto after = eliminate_common_subexpressions(graph, context);
  EXPECT_EQ(count_ops(*after, "exp"), 1);
  EXPECT_EQ(count_ops(*after, "add"), 2);
  EXPECT_EQ(count_ops(*after, "constant"), 2);
  EXPECT_EQ(count_ops(*after, "sum"), 2);
  EXPECT_EQ(context.statistics["common_subexpressions.merged"], 4);
  expect_equivalent(graph, *after);
}

TEST(LowerComposites, InlinesWhatTheTargetDoesNotClaim) {
  FakeTarget target;
  target.claimed = {"softmax"};
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {4, 6}});
  graph.fetch("softmax", ops::softmax(x, 1));
  graph.fetch("log_softmax", ops::log_softmax(x, 1));
  graph.fetch("mean", ops::mean(x, {0}));
  PassContext context(target);
  const auto after = lower_composites(graph, context);
  EXPECT_EQ(count_ops(*after, "softmax"), 1);
  for (const auto& node : after->nodes()) {
    EXPECT_TRUE(!node->op().traits.composite || node->op().name == "softmax") << node->name();
  }
  EXPECT_GE(context.statistics["lower_composites.inlined"], 2);
  expect_equivalent(graph, *after, 1e-6);
}

}  // namespace
}  // namespace ingot
