#include "ingot/ir/graph.h"

#include <gtest/gtest.h>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "ingot/ops/registry.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using testing_support::error_of;
using testing_support::expect_user_error;

const TensorType kPair{DType::f32, {2}};
constexpr SourceLocation kNowhere{};

TEST(Graph, NamesAreUniqueAndFound) {
  Graph graph;
  const Value x = graph.placeholder("x", kPair);
  Node* first = graph.add(*find_op("relu"), {x});
  Node* second = graph.add(*find_op("relu"), {x});
  Node* named = graph.add(*find_op("relu"), {x}, {}, "act");
  Node* again = graph.add(*find_op("relu"), {x}, {}, "act");
  EXPECT_EQ(first->name(), "relu_0");
  EXPECT_EQ(second->name(), "relu_1");
  EXPECT_EQ(named->name(), "act");
  EXPECT_EQ(again->name(), "act_0");
  EXPECT_EQ(graph.find("act"), named);
  EXPECT_EQ(graph.find("none"), nullptr);
  EXPECT_EQ(graph.nodes_of(*find_op("relu")).size(), 4u);
  EXPECT_EQ(again->id(), 4);
}

TEST(Graph, VariableTwiceIsOneValue) {
  Graph graph;
  const Value w = graph.variable("w", kPair, Initializer::uniform(-1, 2), VariableRole::buffer);
  EXPECT_EQ(graph.variable("w", kPair, Initializer::constant(0)), w);
  EXPECT_EQ(role_of(*w.node()), VariableRole::buffer);
  const Initializer init = initializer_of(*w.node());
  EXPECT_EQ(init.kind, Initializer::Kind::uniform);
  EXPECT_EQ(init.a, -1);
  EXPECT_EQ(init.b, 2);
  EXPECT_EQ(graph.size(), 1u);
  EXPECT_EQ(variable_role_name(VariableRole::optimizer_state), "optimizer_state");
}

TEST(Graph, ConstantsHoldTheirValues) {
  Graph graph;
  const Value c = graph.full({DType::i32, {2, 2}}, 7);
  EXPECT_EQ(c.node()->attr<TensorAttr>("value").tensor->to_doubles(),
            (std::vector<double>{7, 7, 7, 7}));
  EXPECT_EQ(graph.scalar(0.5).type(), (TensorType{DType::f32, {}}));
}

TEST(Graph, SourceErrors) {
  Graph graph;
  graph.placeholder("x", kPair);
  graph.variable("w", kPair, Initializer::constant(0));
  const ErrorCode argument = ErrorCode::invalid_argument;
  expect_user_error(argument, "placeholder \"x\": name must be unique in the graph, got it twice",
                    [&] { graph.placeholder("x", kPair, kNowhere); });
  expect_user_error(
      argument, "variable \"x\": name must be unique in the graph, got it twice", [&] {
        graph.variable("x", kPair, Initializer::constant(0), VariableRole::parameter, kNowhere);
      });
  expect_user_error(ErrorCode::invalid_shape,
                    "variable \"w\": must keep its type, got f32[] after f32[2]", [&] {
                      graph.variable("w", {DType::f32, {}}, Initializer::constant(0),
                                     VariableRole::parameter, kNowhere);
                    });
  const std::string rule =
      ": every dimension must be known and not negative, got f32[-1,3]\n"
      "help: give the size; only reshape infers a -1";
  expect_user_error(ErrorCode::invalid_shape, "placeholder \"input\"" + rule,
                    [&] { graph.placeholder("input", {DType::f32, {-1, 3}}, kNowhere); });
  expect_user_error(ErrorCode::invalid_shape, "variable \"v\"" + rule, [&] {
    graph.variable("v", {DType::f32, {-1, 3}}, Initializer::constant(0), VariableRole::parameter,
                   kNowhere);
  });
  expect_user_error(ErrorCode::invalid_shape, "argument \"arg0\"" + rule,
                    [&] { graph.argument(0, {DType::f32, {-1, 3}}); });
}

TEST(Graph, AssignErrors) {
  Graph graph;
  const Value x = graph.placeholder("x", kPair);
  const Value w = graph.variable("w", kPair, Initializer::constant(0));
  expect_user_error(ErrorCode::invalid_graph,
                    "assign \"x\": target must be a variable, got placeholder",
                    [&] { graph.assign(x, w, std::nullopt, kNowhere); });
  expect_user_error(ErrorCode::invalid_shape,
                    "assign \"assign.w\": the value must have the variable's type, got f32[2], "
                    "f32[]",
                    [&] { graph.assign(w, graph.scalar(1), std::nullopt, kNowhere); });
  expect_user_error(ErrorCode::invalid_shape,
                    "assign \"assign.w\": the predicate must be bool[], got f32[2], f32[2], f32[]",
                    [&] { graph.assign(w, x, graph.scalar(1), kNowhere); });
  expect_user_error(ErrorCode::invalid_graph,
                    "assign \"assign\": operands must be values of this graph, got an empty value",
                    [&] { graph.assign(Value(), w, std::nullopt, kNowhere); });
  EXPECT_EQ(graph.assign_of("w"), nullptr);
  graph.assign(w, x);
  ASSERT_NE(graph.assign_of("w"), nullptr);
  EXPECT_EQ(graph.assign_of("w")->name(), "assign.w");
  expect_user_error(ErrorCode::invalid_graph,
                    "assign \"w\": a variable is assigned at most once, got a second assign",
                    [&] { graph.assign(w, x, std::nullopt, kNowhere); });
}

TEST(Graph, AddErrors) {
  Graph graph;
  Graph other;
  const Value x = graph.placeholder("x", kPair);
  const Value foreign = other.placeholder("x", kPair);
  const OpDef& relu = *find_op("relu");
  const auto add = [&](const OpDef& op, std::vector<Value> inputs, AttrList attrs) {
    graph.add(op, std::move(inputs), std::move(attrs), "n", kNowhere);
  };
  const ErrorCode argument = ErrorCode::invalid_argument;
  expect_user_error(argument, "relu \"n\": takes 1 operand(s), got 2",
                    [&] { add(relu, {x, x}, {}); });
  expect_user_error(argument, "assign \"n\": takes 2 or more operand(s), got 1",
                    [&] { add(assign_op(), {x}, {}); });
  expect_user_error(ErrorCode::invalid_graph,
                    "relu \"n\": operands must be values of this graph, got another graph's",
                    [&] { add(relu, {foreign}, {}); });
  expect_user_error(ErrorCode::invalid_graph,
                    "relu \"n\": operands must be values of this graph, got an empty value",
                    [&] { add(relu, {Value()}, {}); });
  const OpDef& sum = *find_op("sum");
  expect_user_error(argument,
                    "sum \"n\": attribute must be one the op has, got \"axis\"\n"
                    "help: did you mean \"axes\"?",
                    [&] { add(sum, {x}, {{"axis", {0}}}); });
  expect_user_error(argument, "sum \"n\": attribute must be one the op has, got \"quality\"",
                    [&] { add(sum, {x}, {{"quality", 1}}); });
  expect_user_error(argument, "sum \"n\": attribute \"axes\" must be integers, got 0",
                    [&] { add(sum, {x}, {{"axes", 0}}); });
  expect_user_error(argument, "sum \"n\": attribute \"keep_dims\" must be bool, got 1",
                    [&] { add(sum, {x}, {{"axes", {0}}, {"keep_dims", 1}}); });
  expect_user_error(argument, "sum \"n\": attribute \"axes\" is required, got none",
                    [&] { add(sum, {x}, {}); });
  expect_user_error(ErrorCode::invalid_shape,
                    "fused \"n\": a region is made by the compiler only, got f32[2]",
                    [&] { add(fused_op(), {x}, {}); });
  expect_user_error(argument, "fetch \"y\": name must be unique in the graph, got it twice", [&] {
    graph.fetch("y", x);
    graph.fetch("y", x);
  });
  expect_user_error(ErrorCode::invalid_graph,
                    "fetch \"z\": operands must be values of this graph, got another graph's",
                    [&] { graph.fetch("z", foreign); });
}

TEST(Graph, RegionErrors) {
  Graph graph;
  const Value x = graph.placeholder("x", kPair);
  const auto region = [&](int index, TensorType type) {
    auto body = std::make_unique<Graph>();
    body->fetch("r", body->argument(index, std::move(type)));
    return error_of([&] { graph.add_region(fused_op(), {x}, std::move(body), {}, "r"); });
  };
  EXPECT_EQ(region(0, kPair), "no error");
  EXPECT_EQ(region(1, kPair),
            "fused \"r_0\": argument 1 of the body must be one of the operands, got f32[2]");
  EXPECT_EQ(region(0, {DType::f64, {2}}),
            "fused \"r_1\": argument 0 of the body must be f32[2], got f64[2]");
}

TEST(Graph, AnIntegerIsAcceptedForAReal) {
  Graph graph;
  Node* node = graph.add(variable_op(), {},
                         {{"dtype", DType::f32},
                          {"shape", std::vector<std::int64_t>{}},
                          {"role", 0},
                          {"init", 0},
                          {"init_a", 3},
                          {"init_b", 0}});
  EXPECT_EQ(node->attr<double>("init_a"), 3.0);
}

TEST(Graph, OriginIsTheOutermostCallAndTheModulePath) {
  Graph graph;
  const auto line = static_cast<std::uint32_t>(__LINE__ + 1);
  const Value x = graph.placeholder("x", kPair);
  EXPECT_EQ(x.node()->origin().location.to_string(),
            "graph_test.cpp:" + std::to_string(line) + " in TestBody");
  EXPECT_EQ(x.node()->origin().module_path, "");
  Value y;
  {
    const auto outer = graph.module("layer1", {"net.cpp", "forward", 5});
    EXPECT_EQ(graph.scoped_name("weight"), "layer1.weight");
    const auto middle = graph.module("0", {"layers.cpp", "block", 7});
    const auto inner = graph.module("conv1");
    y = ops::relu(x);
    EXPECT_EQ(graph.module_path(), "layer1.0.conv1");
  }
  EXPECT_EQ(y.node()->origin().location.to_string(), "net.cpp:5 in forward");
  EXPECT_EQ(y.node()->origin().module_path, "layer1.0.conv1");
  EXPECT_EQ(graph.module_path(), "");
  EXPECT_EQ(graph.scoped_name("weight"), "weight");
  const auto next = static_cast<std::uint32_t>(__LINE__ + 1);
  EXPECT_EQ(ops::relu(x).node()->origin().location.line, next);
}

TEST(Graph, OperatorsKnowTheLineThatWroteThem) {
  Graph graph;
  const Value x = graph.placeholder("x", kPair);
  const auto line = static_cast<std::uint32_t>(__LINE__ + 1);
  const Value values[] = {x + x, x - x, x * x, x / x, -x, x + 1.0, 1.0 - x, 2.0 * x, 1.0 / x};
  for (const Value& value : values) {
    EXPECT_EQ(value.node()->origin().location.line, line) << value.node()->name();
    EXPECT_STREQ(value.node()->origin().location.function, "TestBody");
  }
}

TEST(Graph, ErrorsSayWhereAndInWhichModule) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2}});
  const Value y = graph.placeholder("y", {DType::f32, {3}});
  const auto scope = graph.module("head", {"net.cpp", "forward", 5});
  EXPECT_EQ(error_of([&] { ops::add(x, y); }),
            "add \"add_0\": shapes must broadcast, got f32[2], f32[3]\n"
            "help: reshape a per-channel operand to [1,C,1,1] to match [N,C,H,W]\n"
            "note: made at net.cpp:5 in forward (module head)");
}

TEST(Graph, ModuleAloneIsNotedToo) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2}});
  const auto scope = graph.module("head");
  EXPECT_EQ(error_of([&] { graph.add(*find_op("sum"), {x}, {{"axes", 0}}, "s", kNowhere); }),
            "sum \"s\": attribute \"axes\" must be integers, got 0\nnote: in module head");
}

TEST(Graph, ForcedOriginAppliesToBuilders) {
  Graph graph;
  const Value x = graph.placeholder("x", kPair);
  Value y;
  {
    const auto scope = graph.with_origin({{"user.cpp", "main", 3}, "layer1"});
    y = ops::relu(x);
  }
  EXPECT_EQ(y.node()->origin().location.to_string(), "user.cpp:3 in main");
  EXPECT_EQ(y.node()->origin().module_path, "layer1");
}

TEST(Graph, CloneCopiesEverything) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {4, 8}});
  const Value w = graph.variable("w", {DType::f32, {4, 8}}, Initializer::constant(1));
  Value y;
  {
    const auto scope = graph.module("m");
    y = x * w;
  }
  y.node()->set_layout(0, Layout({}, {{1, 8}}));
  auto body = std::make_unique<Graph>();
  body->fetch("r", body->argument(0, y.type()));
  graph.fetch("r", graph.add_region(fused_op(), {y}, std::move(body))->output());
  graph.assign(w, y);
  const auto copy = clone_graph(graph);
  ASSERT_EQ(copy->size(), graph.size());
  for (std::size_t i = 0; i < graph.size(); ++i) {
    EXPECT_EQ(copy->nodes()[i]->name(), graph.nodes()[i]->name());
    EXPECT_EQ(&copy->nodes()[i]->graph(), copy.get());
  }
  EXPECT_EQ(copy->find("mul_0")->outputs()[0].layout, Layout({}, {{1, 8}}));
  EXPECT_EQ(copy->find("mul_0")->origin().module_path, "m");
  EXPECT_NE(copy->find("fused_0")->body(), graph.find("fused_0")->body());
  EXPECT_EQ(copy->assign_of("w"), copy->find("assign.w"));
  EXPECT_EQ(copy->fetches()[0].value, copy->find("fused_0")->output());
}

TEST(Graph, MoveKeepsNodesAtHome) {
  Graph graph;
  const Value x = graph.placeholder("x", kPair);
  Graph moved = std::move(graph);
  EXPECT_EQ(&x.graph(), &moved);
  EXPECT_EQ(ops::relu(x).node()->name(), "relu_0");
}

TEST(OpDef, UnknownNamesAreInternalErrors) {
  Graph graph;
  const Value x = graph.placeholder("x", kPair);
  EXPECT_EQ(error_of([&] { (void)x.node()->integer("axis"); }),
            internal_error("placeholder \"x\": no attribute \"axis\"").what());
  EXPECT_EQ(error_of([] { (void)find_op("relu")->constraint("C99"); }),
            internal_error("op relu: no constraint C99").what());
}

TEST(OpDef, ToleranceGrowsWithTheSum) {
  EXPECT_EQ(default_tolerance(DType::i32, 100).absolute, 0);
  EXPECT_GT(default_tolerance(DType::f32, 1000).relative,
            default_tolerance(DType::f32, 10).relative);
  EXPECT_GT(default_tolerance(DType::bf16, 1).relative, default_tolerance(DType::f16, 1).relative);
  EXPECT_LT(default_tolerance(DType::f64, 1).relative, 1e-14);
}

}  // namespace
}  // namespace ingot
