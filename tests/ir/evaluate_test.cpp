#include "ingot/ir/evaluate.h"

#include <gtest/gtest.h>

#include "ingot/ir/body.h"
#include "ingot/ir/convert_dtype.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using testing_support::expect_error;
using testing_support::expect_user_error;

HostTensor tensor(Shape shape, std::vector<double> values, DType dtype = DType::f32) {
  return HostTensor({dtype, shape}, values);
}

// y = (x + x)^2 as a composite, with a rule that data can break: x must not be 13.
std::vector<TensorType> same_type(const InferContext& ctx) { return {ctx.input(0)}; }

const OpDef& picky_op() {
  static const OpDef def{.name = "test.picky",
                         .summary = "the same, 13 is not allowed",
                         .inputs = {{"x", "any"}},
                         .outputs = {{"y", "same"}},
                         .constraints = {{"C1", "values must not be 13"}},
                         .infer = same_type,
                         .reference = [](const ReferenceContext& ctx) {
                           for (std::int64_t i = 0; i < ctx.inputs[0].numel(); ++i) {
                             const double x = ctx.inputs[0].get(i);
                             if (x == 13 && ctx.error->node < 0) {
                               *ctx.error = {ctx.node.id(), 0, 13, i};
                             }
                             ctx.outputs[0].set(i, x);
                           }
                         }};
  return def;
}

const OpDef& square_op() {
  static const OpDef def{.name = "test.square",
                         .summary = "(x + x)^2",
                         .inputs = {{"x", "any"}},
                         .outputs = {{"y", "same"}},
                         .constraints = {{"C1", "never broken"}, {"C2", "values must not be 13"}},
                         .infer = same_type,
                         .traits = {.composite = true},
                         .body = [](const Node&, std::span<const Value> in) {
                           const Value x = in[0].graph().add(picky_op(), {in[0]})->output();
                           const Value twice = x + x;
                           return std::vector{twice * twice};
                         }};
  return def;
}

const OpDef& wrong_body_op() {
  static const OpDef def{.name = "test.wrong",
                         .summary = "a body that disagrees",
                         .inputs = {{"x", "any"}},
                         .outputs = {{"y", "same"}},
                         .infer = same_type,
                         .traits = {.composite = true},
                         .body = [](const Node&, std::span<const Value> in) {
                           return std::vector{ops::sum(in[0], {0})};
                         }};
  return def;
}

const OpDef& hollow_op() {
  static const OpDef def{.name = "test.hollow",
                         .summary = "nothing computes it",
                         .inputs = {{"x", "any"}},
                         .outputs = {{"y", "same"}},
                         .infer = same_type};
  return def;
}

TEST(Evaluate, FetchesAndAssigns) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2}});
  const Value w = graph.variable("w", {DType::f32, {2}}, Initializer::constant(0));
  const Value kept = graph.variable("kept", {DType::f32, {}}, Initializer::constant(0));
  graph.assign(w, w + x * 2.0);
  graph.assign(kept, graph.scalar(9), graph.scalar(0, DType::boolean));
  graph.fetch("product", x * w);
  graph.fetch("w", w);
  const Evaluation result = evaluate(graph, {{"x", tensor({2}, {3, 4})}},
                                     {{"w", tensor({2}, {10, 20})}, {"kept", tensor({}, {1})}});
  EXPECT_EQ(result.fetches.at("product"), tensor({2}, {30, 80}));
  EXPECT_EQ(result.fetches.at("w"), tensor({2}, {10, 20}));
  ASSERT_EQ(result.assigned.size(), 1u);
  EXPECT_EQ(result.assigned.at("w"), tensor({2}, {16, 28}));
  EXPECT_EQ(result.error.node, -1);
}

TEST(Evaluate, CompositeRunsItsBody) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {3}});
  graph.fetch("y", graph.add(square_op(), {x})->output());
  const Evaluation result = evaluate(graph, {{"x", tensor({3}, {1, 2, -3})}});
  EXPECT_EQ(result.fetches.at("y"), tensor({3}, {4, 16, 36}));
}

TEST(Evaluate, ErrorInABodyIsTheCompositesAndSuppressesAssigns) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {3}});
  const Value w = graph.variable("w", {DType::f32, {}}, Initializer::constant(0));
  Node* square = graph.add(square_op(), {x});
  graph.add(picky_op(), {x});
  graph.assign(w, graph.scalar(1));
  graph.fetch("y", square->output());
  const Evaluation result =
      evaluate(graph, {{"x", tensor({3}, {1, 13, 13})}}, {{"w", tensor({}, {0})}});
  EXPECT_EQ(result.error, (StepError{square->id(), 1, 13, 1}));
  EXPECT_TRUE(result.assigned.empty());
}

TEST(Evaluate, RegionRunsItsBody) {
  auto body = std::make_unique<Graph>();
  const Value a = body->argument(0, {DType::f32, {2}});
  const Value b = body->argument(1, {DType::f32, {2}});
  body->fetch("sum", a + b);
  body->fetch("difference", a - b);
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2}});
  Node* region = graph.add_region(fused_op(), {x, graph.full({DType::f32, {2}}, 5)},
                                  std::move(body), {}, "both");
  EXPECT_EQ(region->name(), "both");
  graph.fetch("sum", region->output(0));
  graph.fetch("difference", region->output(1));
  for (const DType dtype : {DType::f32, DType::f64}) {
    const auto copy = with_float_dtype(graph, dtype);
    EXPECT_EQ(copy->find("both")->output_type().dtype, dtype);
    const Evaluation result = evaluate(*copy, {{"x", tensor({2}, {1, 2}, dtype)}});
    EXPECT_EQ(result.fetches.at("sum"), tensor({2}, {6, 7}, dtype));
    EXPECT_EQ(result.fetches.at("difference"), tensor({2}, {-4, -3}, dtype));
  }
}

TEST(Evaluate, ObserverSeesEveryNodeInOrder) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {}});
  graph.fetch("y", x + x);
  std::vector<std::string> seen;
  const EvaluationObserver observer = [&](const Node& node, std::span<const HostView> outputs) {
    seen.push_back(node.name() + " " + std::to_string(outputs[0].get(0)));
  };
  evaluate(graph, {{"x", tensor({}, {2})}}, {}, observer);
  EXPECT_EQ(seen, (std::vector<std::string>{"x 2.000000", "add_0 4.000000"}));
}

TEST(Evaluate, Errors) {
  Graph graph;
  const Value image = graph.placeholder("image", {DType::f32, {2}}, {});
  const Value w =
      graph.variable("w", {DType::f32, {2}}, Initializer::constant(0), VariableRole::parameter, {});
  graph.fetch("y", image + w);
  const HostTensor ok = tensor({2}, {0, 0});
  expect_user_error(ErrorCode::invalid_feed, "feed \"image\": f32[2] must be given, got none",
                    [&] { evaluate(graph, {}, {{"w", ok}}); });
  expect_user_error(ErrorCode::invalid_feed, "variable \"w\": f32[2] must be given, got none",
                    [&] { evaluate(graph, {{"image", ok}}); });
  expect_user_error(ErrorCode::invalid_feed, "feed \"image\": must be f32[2], got i32[2]", [&] {
    evaluate(graph, {{"image", tensor({2}, {0, 0}, DType::i32)}}, {{"w", ok}});
  });
  expect_user_error(ErrorCode::invalid_feed,
                    "feed \"imge\": must name a placeholder of the graph, got no such node\n"
                    "help: did you mean \"image\"?",
                    [&] { evaluate(graph, {{"image", ok}, {"imge", ok}}, {{"w", ok}}); });
  expect_user_error(ErrorCode::invalid_feed,
                    "feed \"w\": must name a placeholder of the graph, got variable",
                    [&] { evaluate(graph, {{"image", ok}, {"w", ok}}, {{"w", ok}}); });
  expect_error(ErrorKind::unsupported, ErrorCode::unsupported,
               "test.hollow \"h\": must have a reference kernel, got none", [&] {
                 Node* node = graph.add(hollow_op(), {image}, {}, "h");
                 evaluate_node(*node, std::vector{std::as_const(ok).view()}, nullptr);
               });
}

TEST(Body, BuildGivesArgumentsAndNamedResults) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {3}});
  const auto body = build_body(*graph.add(square_op(), {x}, {}, "sq"));
  ASSERT_EQ(body->size(), 4u);
  EXPECT_EQ(&body->nodes()[0]->op(), &argument_op());
  ASSERT_EQ(body->fetches().size(), 1u);
  EXPECT_EQ(body->fetches()[0].name, "y");
}

TEST(Body, InlinedNodesKeepOriginAndPrefix) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {3}});
  Node* square = nullptr;
  const auto line = static_cast<std::uint32_t>(__LINE__ + 2);
  {
    const auto scope = graph.module("layer1", SourceLocation::current());
    square = graph.add(square_op(), {x}, {}, "sq");
  }
  Graph flat;
  const Value in = flat.placeholder("x", {DType::f32, {3}});
  const std::vector<Value> results = inline_body(flat, *square, std::vector{in});
  ASSERT_EQ(results.size(), 1u);
  flat.fetch("y", results[0]);
  ASSERT_NE(flat.find("sq.add_0"), nullptr);
  ASSERT_NE(flat.find("sq.mul_0"), nullptr);
  EXPECT_EQ(flat.find("sq.mul_0"), results[0].node());
  EXPECT_EQ(results[0].node()->origin().module_path, "layer1");
  EXPECT_EQ(results[0].node()->origin().location.line, line);
  EXPECT_EQ(evaluate(flat, {{"x", tensor({3}, {1, 2, 3})}}).fetches.at("y"),
            tensor({3}, {4, 16, 36}));
}

TEST(Body, Errors) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {3}});
  expect_error(
      ErrorKind::internal, ErrorCode::internal,
      internal_error("test.wrong \"w\": the body's results differ from the inferred types").what(),
      [&] { build_body(*graph.add(wrong_body_op(), {x}, {}, "w")); });
  expect_error(ErrorKind::internal, ErrorCode::internal,
               internal_error("placeholder \"x\": has no body").what(),
               [&] { build_body(*x.node()); });
}

TEST(ConvertDtype, SourcesConstantsAndAttributesBecomeDoubles) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2}});
  const Value w = graph.variable("w", {DType::f32, {2}}, Initializer::uniform(-1, 1));
  const Value count =
      graph.variable("count", {DType::i64, {}}, Initializer::constant(3), VariableRole::counter);
  graph.assign(w, (x + w) * 0.5, graph.scalar(1, DType::boolean));
  graph.assign(count, count + 1.0);
  graph.fetch("y", x * w);
  const auto copy = with_float_dtype(graph, DType::f64);
  ASSERT_EQ(copy->size(), graph.size());
  for (std::size_t i = 0; i < graph.size(); ++i) {
    EXPECT_EQ(copy->nodes()[i]->name(), graph.nodes()[i]->name());
  }
  const Evaluation result = evaluate(
      *copy, {{"x", tensor({2}, {1, 2}, DType::f64)}},
      {{"w", tensor({2}, {0.1, 0.2}, DType::f64)}, {"count", tensor({}, {3}, DType::i64)}});
  EXPECT_EQ(result.fetches.at("y"), tensor({2}, {0.1, 0.4}, DType::f64));
  EXPECT_EQ(result.assigned.at("w"), tensor({2}, {0.55, 1.1}, DType::f64));
  EXPECT_EQ(result.assigned.at("count"), tensor({}, {4}, DType::i64));
}

}  // namespace
}  // namespace ingot
