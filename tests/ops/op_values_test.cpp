// Known answers: what an op means, worked out by hand or from its definition.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "ingot/ops/operators.h"
#include "ingot/ops/registry.h"
#include "ingot/passes/precision.h"
#include "tests/ops/values_of.h"

namespace ingot {
namespace {

using testing_support::constant;
using testing_support::Doubles;
using testing_support::run;
using testing_support::values;

TEST(Ops, MatmulTransposes) {
  Graph graph;
  const Value a = constant(graph, {DType::f32, {2, 3}}, {1, 2, 3, 4, 5, 6});
  const Value b = constant(graph, {DType::f32, {2, 3}}, {1, 0, 2, 0, 1, 1});
  EXPECT_EQ(values(graph, ops::matmul(a, b, false, true)), (Doubles{7, 5, 16, 11}));
  graph.fetch("z", ops::matmul(a, b, true, false));
  EXPECT_EQ(evaluate(graph, {}).fetches.at("z").to_doubles(),
            (Doubles{1, 4, 6, 2, 5, 9, 3, 6, 12}));
}

TEST(Ops, TransposeMovesAxes) {
  Graph graph;
  const Value x = constant(graph, {DType::i32, {1, 2, 3}}, {1, 2, 3, 4, 5, 6});
  const Value y = ops::transpose(x, {2, 0, 1});
  EXPECT_EQ(y.shape(), (Shape{3, 1, 2}));
  EXPECT_EQ(values(graph, y), (Doubles{1, 4, 2, 5, 3, 6}));
}

TEST(Ops, CastTruncatesAndSaturates) {
  Graph graph;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Value x = constant(graph, {DType::f32, {5}}, {-1.9, 1.9, 300, -300, nan});
  EXPECT_EQ(values(graph, ops::cast(x, DType::i8)), (Doubles{-1, 1, 127, -128, 0}));
  EXPECT_EQ(ops::cast(x, DType::f32), x);
}

TEST(Ops, CastKeepsLargeIntegers) {
  Graph graph;
  HostTensor tensor({DType::i64, {1}});
  const std::int64_t large = (std::int64_t{1} << 60) + 1;
  tensor.view().set_int(0, large);
  const Value x = graph.constant(std::move(tensor));
  const Value y = graph.add(*find_op("cast"), {x}, {{"dtype", DType::i64}})->output();
  EXPECT_EQ(run(graph, y).fetches.at("y").view().get_int(0), large);
}

TEST(Ops, MeanOfHalvesDoesNotOverflow) {
  Graph graph;
  const Value x = constant(graph, {DType::f16, {4}}, {60000, 60000, 60000, 60000});
  const Value y = ops::mean(x, {});
  EXPECT_EQ(y.type(), (TensorType{DType::f16, {}}));
  EXPECT_EQ(values(graph, y), Doubles{60000});
}

TEST(Ops, ReduceMaxPropagatesNan) {
  Graph graph;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Value x = constant(graph, {DType::f32, {2, 3}}, {1, nan, 2, -5, -3, -4});
  const Doubles y = values(graph, ops::reduce_max(x, {1}));
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], -3);
}

TEST(Ops, OneHotLatchesLabelsOutOfRange) {
  Graph graph;
  const Value labels = constant(graph, {DType::i32, {3}}, {1, 7, -2});
  const Value y = ops::one_hot(labels, 3);
  const Evaluation result = run(graph, y);
  EXPECT_EQ(result.fetches.at("y").to_doubles(), (Doubles{0, 1, 0, 0, 0, 1, 1, 0, 0}));
  EXPECT_EQ(result.error, (StepError{y.node()->id(), 3, 7, 1}));
}

TEST(Ops, SoftmaxDoesNotOverflow) {
  Graph graph;
  const Value x = constant(graph, {DType::f32, {2, 2}}, {1000, 1000, -1000, 0});
  EXPECT_EQ(values(graph, ops::softmax(x)), (Doubles{0.5, 0.5, 0, 1}));
}

TEST(Ops, LogSoftmaxOfEqualLogits) {
  Graph graph;
  const Value x = constant(graph, {DType::f64, {1, 4}}, {3, 3, 3, 3});
  for (const double y : values(graph, ops::log_softmax(x))) EXPECT_NEAR(y, -std::log(4.0), 1e-15);
}

TEST(Ops, CrossEntropyOfEqualLogitsIsLogOfClasses) {
  Graph graph;
  const Value logits = constant(graph, {DType::f64, {2, 4}}, Doubles(8, 0.5));
  const Value labels = constant(graph, {DType::i32, {2}}, {3, 0});
  for (const double loss : values(graph, ops::cross_entropy(logits, labels, 0.3))) {
    EXPECT_NEAR(loss, std::log(4.0), 1e-15);
  }
}

TEST(Ops, CrossEntropyIgnoresImpossibleClasses) {
  Graph graph;
  const double inf = std::numeric_limits<double>::infinity();
  const Value logits = constant(graph, {DType::f64, {1, 3}}, {1, 1, -inf});
  const Value labels = constant(graph, {DType::i32, {1}}, {0});
  EXPECT_NEAR(values(graph, ops::cross_entropy(logits, labels))[0], std::log(2.0), 1e-15);
}

TEST(Ops, CrossEntropyWithLabelsAgreesWithProbabilities) {
  Graph graph;
  const Value logits = constant(graph, {DType::f64, {2, 3}}, {1, -2, 0.5, 0, 3, 1});
  const Value labels = constant(graph, {DType::i32, {2}}, {2, 0});
  const Value probs = ops::one_hot(labels, 3, DType::f64) * 0.9 + 0.1 / 3;
  const Value difference =
      ops::cross_entropy(logits, labels, 0.1) - ops::cross_entropy_probs(logits, probs);
  for (const double d : values(graph, difference)) EXPECT_NEAR(d, 0, 1e-14);
}

TEST(Ops, CrossEntropyLatchesItsOwnRule) {
  Graph graph;
  const Value logits = constant(graph, {DType::f32, {2, 3}}, Doubles(6, 0.0));
  const Value loss = ops::cross_entropy(logits, constant(graph, {DType::i32, {2}}, {0, 3}));
  const StepError error = run(graph, loss).error;
  EXPECT_EQ(error, (StepError{loss.node()->id(), 4, 3, 1}));
  EXPECT_EQ(loss.node()->op().constraints[4].text,
            "labels must be at least 0 and below the number of classes");
}

TEST(Ops, CrossEntropyOfHalvesIsF32) {
  Graph graph;
  const Value logits = constant(graph, {DType::bf16, {1, 2}}, {0, 0});
  const Value loss = ops::cross_entropy(logits, constant(graph, {DType::i32, {1}}, {0}));
  EXPECT_EQ(loss.type(), (TensorType{DType::f32, {1}}));
  EXPECT_NEAR(values(graph, loss)[0], std::log(2.0), 1e-7);
}

TEST(Ops, ProbabilitiesStayF32UnderMixedPrecision) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 3}});
  const Value w = graph.placeholder("w", {DType::f32, {3, 4}});
  const Value logits = ops::matmul(x, w);
  const Value probs = graph.placeholder("probs", {DType::f32, {2, 4}});
  ops::softmax(logits);
  ops::cross_entropy_probs(logits, probs);
  ops::relu(logits);
  const auto low = apply_precision(graph, Precision::bf16);
  for (const auto& node : low->nodes()) {
    if (node->op().name == "relu") {
      EXPECT_EQ(node->input_type(0).dtype, DType::bf16);
    }
    if (node->op().traits.composite) {
      EXPECT_EQ(node->input_type(0).dtype, DType::f32) << node->name();
    }
  }
}

TEST(Ops, OptimizerUpdatesEveryTensor) {
  Graph graph;
  const std::vector<std::string> names{"lr", "mu", "p", "g", "m"};
  const auto rule = ScalarProgram::parse("v = mu * m + g; p - lr * v, v", names);
  const Value scalars[] = {graph.scalar(0.5), graph.scalar(0.25)};
  const auto tensor = [&](Shape shape, double p, double g, double m) {
    return ops::OptimizerOperand{graph.full({DType::f32, shape}, p),
                                 graph.full({DType::f32, shape}, g),
                                 {graph.full({DType::f32, shape}, m)}};
  };
  const ops::OptimizerOperand tensors[] = {tensor({2}, 1, 2, 4), tensor({1, 1}, -1, 0, 8)};
  const auto results = ops::optimizer_update(rule, scalars, tensors);
  ASSERT_EQ(results.size(), 2u);
  graph.fetch("p0", results[0].parameter);
  graph.fetch("m0", results[0].states[0]);
  graph.fetch("p1", results[1].parameter);
  graph.fetch("m1", results[1].states[0]);
  const auto fetches = evaluate(graph, {}).fetches;
  EXPECT_EQ(fetches.at("p0").to_doubles(), (Doubles{-0.5, -0.5}));
  EXPECT_EQ(fetches.at("m0").to_doubles(), (Doubles{3, 3}));
  EXPECT_EQ(fetches.at("p1").to_doubles(), Doubles{-2});
  EXPECT_EQ(fetches.at("m1").to_doubles(), Doubles{2});
}

}  // namespace
}  // namespace ingot
