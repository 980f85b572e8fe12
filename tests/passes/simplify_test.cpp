#include <gtest/gtest.h>

#include <functional>

#include "ingot/ops/op_list.h"
#include "ingot/passes/passes.h"
#include "tests/passes/support/fake_target.h"
#include "tests/passes/support/graphs.h"

namespace ingot {
namespace {

using testing_support::count_ops;
using testing_support::expect_equivalent;
using testing_support::FakeTarget;

struct RuleCase {
  const char* rule;
  const char* gone;  ///< the op that the rule removes
  std::function<Value(Graph&, Value)> build;
  double tolerance = 0;
};

std::vector<RuleCase> rule_cases() {
  using ops::elementwise;
  return {
      {"add_zero", "add", [](Graph& g, Value x) { return x + g.scalar(0); }},
      {"add_zero", "add", [](Graph& g, Value x) { return g.scalar(0) + x; }},
      {"sub_zero", "sub", [](Graph& g, Value x) { return x - g.scalar(0); }},
      {"mul_one", "mul", [](Graph& g, Value x) { return x * g.full(x.type(), 1); }},
      {"mul_one", "mul",
       [](Graph& g, Value x) {
         return ops::broadcast_to(ops::reshape(g.scalar(1), {1, 1}), x.shape()) * x;
       }},
      {"mul_minus_one", "mul", [](Graph& g, Value x) { return x * g.scalar(-1); }},
      {"div_one", "div", [](Graph& g, Value x) { return x / g.scalar(1); }},
      {"div_power_of_two", "div", [](Graph& g, Value x) { return x / g.scalar(-32); }},
      {"pow_constant", "pow", [](Graph& g, Value x) { return ops::pow(x, g.scalar(1)); }},
      {"pow_constant", "pow", [](Graph& g, Value x) { return ops::pow(x, g.scalar(2)); }},
      {"pow_constant", "pow", [](Graph& g, Value x) { return ops::pow(x, g.scalar(3)); }, 2e-7},
      {"pow_constant", "pow", [](Graph& g, Value x) { return ops::pow(x, g.scalar(-1)); }},
      {"double_neg", "neg", [](Graph&, Value x) { return ops::neg(ops::neg(x)); }},
      {"double_not", "logical_not",
       [](Graph& g, Value x) {
         const Value positive = elementwise("gt", {x, g.scalar(0)});
         return elementwise("logical_not", {elementwise("logical_not", {positive})});
       }},
      {"select_constant", "select",
       [](Graph& g, Value x) { return ops::select(g.scalar(0, DType::boolean), ops::exp(x), x); }},
      {"select_constant", "select",
       [](Graph& g, Value x) { return ops::select(elementwise("gt", {x, g.scalar(0)}), x, x); }},
      {"cast_same", "cast",
       [](Graph& g, Value x) { return g.add(cast_op(), {x}, {{"dtype", DType::f32}})->output(); }},
      {"cast_of_cast", "cast",
       [](Graph&, Value x) { return ops::cast(ops::cast(x, DType::f64), DType::f32); }},
      {"same_reshape", "reshape", [](Graph&, Value x) { return ops::reshape(x, x.shape()); }},
      {"same_broadcast", "broadcast_to",
       [](Graph&, Value x) { return ops::broadcast_to(x, x.shape()); }},
      {"transpose_identity", "transpose",
       [](Graph&, Value x) { return ops::transpose(x, {0, 1}); }},
      {"transpose_of_transpose", "transpose",
       [](Graph&, Value x) { return ops::transpose(ops::transpose(x, {1, 0}), {1, 0}); }},
      {"transpose_as_reshape", "transpose",
       [](Graph&, Value x) { return ops::transpose(ops::reshape(x, {3, 1, 5}), {1, 0, 2}); }},
      {"reduce_nothing", "sum",
       [](Graph&, Value x) { return ops::sum(ops::reshape(x, {3, 1, 5}), {1}); }},
  };
}

std::unique_ptr<Graph> simplified(const Graph& graph, PassContext& context) {
  return eliminate_dead_code(*simplify(graph, context), context);
}

TEST(Simplify, EveryRuleAppliesAndKeepsTheResult) {
  const FakeTarget target;
  for (const RuleCase& rule : rule_cases()) {
    SCOPED_TRACE(rule.rule);
    Graph graph;
    const Value x = graph.placeholder("x", {DType::f32, {3, 5}});
    graph.fetch("y", rule.build(graph, x));
    PassContext context(target);
    const auto after = simplified(graph, context);
    EXPECT_EQ(count_ops(*after, rule.gone), 0);
    EXPECT_GE(context.statistics["simplify." + std::string(rule.rule)], 1);
    expect_equivalent(graph, *after, rule.tolerance);
  }
}

TEST(Simplify, KeepsOneOfRepeatedOps) {
  const FakeTarget target;
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {3, 5}});
  graph.fetch("relu", ops::relu(ops::relu(ops::relu(x))));
  graph.fetch("reshape", ops::reshape(ops::reshape(x, {15}), {5, 3}));
  graph.fetch("broadcast", ops::broadcast_to(ops::broadcast_to(x, {2, 3, 5}), {4, 2, 3, 5}));
  graph.fetch("narrow", ops::cast(ops::cast(x, DType::f64), DType::f16));
  PassContext context(target);
  const auto after = simplified(graph, context);
  for (const char* op : {"relu", "reshape", "broadcast_to", "cast"}) {
    EXPECT_EQ(count_ops(*after, op), 1) << op;
  }
  expect_equivalent(graph, *after);
}

TEST(Simplify, KeepsWhatIsNoIdentity) {
  const FakeTarget target;
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {3, 5}});
  // A cast through a narrower type rounds; a third is not exact; a broadcast changes the shape.
  graph.fetch("rounded", ops::cast(ops::cast(x, DType::f16), DType::f32));
  graph.fetch("third", x / graph.scalar(3));
  graph.fetch("wider", x * graph.full({DType::f32, {2, 3, 5}}, 1));
  graph.fetch("nan", x * graph.scalar(0));
  PassContext context(target);
  const auto after = simplified(graph, context);
  EXPECT_EQ(count_ops(*after, "cast"), 2);
  EXPECT_EQ(count_ops(*after, "div"), 1);
  EXPECT_EQ(count_ops(*after, "mul"), 2);
  expect_equivalent(graph, *after);
}

TEST(Simplify, FoldsConstantsWithinABudget) {
  const FakeTarget target;
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2}});
  const Value two = graph.scalar(1) + graph.scalar(1);
  graph.fetch("y", x * ops::exp(ops::sqrt(two)));
  const Value big = graph.full({DType::f32, {1 << 15}}, 2.0);
  graph.fetch("big", ops::exp(big));
  PassContext context(target);
  const auto after = simplified(graph, context);
  EXPECT_EQ(count_ops(*after, "add"), 0);
  EXPECT_EQ(count_ops(*after, "sqrt"), 0);
  EXPECT_EQ(count_ops(*after, "exp"), 1);
  expect_equivalent(graph, *after);
}

TEST(Simplify, MakesBroadcastsImplicitAndSinksThem) {
  const FakeTarget target;
  Graph graph;
  const Shape full{2, 3, 4, 4};
  const Value x = graph.placeholder("x", {DType::f32, full});
  const Value b = graph.placeholder("b", {DType::f32, {1, 3, 1, 1}});
  const Value wide = ops::broadcast_to(b, full);
  graph.fetch("y", ops::exp(wide) * graph.scalar(0.5) + x);
  PassContext context(target);
  const auto after = simplified(graph, context);
  EXPECT_EQ(count_ops(*after, "broadcast_to"), 0);
  for (const auto& node : after->nodes()) {
    if (node->op().name == "exp") {
      EXPECT_EQ(node->output_type().shape, (Shape{1, 3, 1, 1}));
    }
  }
  expect_equivalent(graph, *after);
}

TEST(Simplify, MakesConstantsOfOneValueScalars) {
  const FakeTarget target;
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {4, 5}});
  graph.fetch("y", ops::maximum(x, graph.full({DType::f32, {4, 5}}, 0.25)));
  graph.fetch("ones", ops::broadcast_to(graph.scalar(1), {32}));
  PassContext context(target);
  const auto after = simplified(graph, context);
  EXPECT_EQ(after->fetches()[0].value.node()->input_type(1).shape, Shape{});
  EXPECT_EQ(count_ops(*after, "broadcast_to"), 0);
  expect_equivalent(graph, *after);
}

TEST(Simplify, FoldsValuesWithoutElements) {
  const FakeTarget target;
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {0, 5}});
  const Value w = graph.placeholder("w", {DType::f32, {5, 3}});
  const Value state = graph.variable("state", {DType::f32, {0, 3}}, Initializer::constant(0));
  const Value y = ops::matmul(x, w);
  graph.fetch("y", y);
  graph.fetch("total", ops::sum(y, {0}));
  graph.fetch("product", ops::matmul(ops::transpose(x, {1, 0}), x));
  graph.assign(state, y);
  PassContext context(target);
  const auto after = simplified(graph, context);
  EXPECT_EQ(count_ops(*after, "matmul"), 0);
  EXPECT_EQ(count_ops(*after, "sum"), 0);
  EXPECT_EQ(after->assign_of("state")->input(0), after->find("state")->output());
  expect_equivalent(graph, *after);
}

TEST(Simplify, LeavesBrokenDataToTheStep) {
  const FakeTarget target;
  Graph graph;
  const Value labels = graph.constant(HostTensor({DType::i32, {2}}, std::vector{0.0, 9.0}));
  graph.fetch("y", ops::one_hot(labels, 3, DType::f32));
  PassContext context(target);
  EXPECT_EQ(count_ops(*simplified(graph, context), "one_hot"), 1);
}

}  // namespace
}  // namespace ingot
