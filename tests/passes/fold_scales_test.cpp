#include <gtest/gtest.h>

#include <random>

#include "ingot/ir/core_ops.h"
#include "ingot/ops/registry.h"
#include "ingot/passes/passes.h"
#include "tests/passes/support/fake_target.h"
#include "tests/passes/support/graphs.h"

namespace ingot {
namespace {

using testing_support::count_ops;
using testing_support::expect_equivalent;
using testing_support::FakeTarget;
using testing_support::random_tensor;

constexpr double kTolerance = 1e-5;

struct Net {
  Graph graph;
  std::mt19937 rng{3};

  Value input(Shape shape) { return graph.placeholder("x", {DType::f32, std::move(shape)}); }
  Value constant(Shape shape) {
    return graph.constant(random_tensor({DType::f32, std::move(shape)}, rng));
  }
};

/// The Graph after the pass, and how many chains it folded.
std::pair<std::unique_ptr<Graph>, std::int64_t> folded(const Graph& graph) {
  const FakeTarget target;
  PassContext context(target);
  auto after = eliminate_dead_code(*fold_scales(graph, context), context);
  expect_equivalent(graph, *after, kTolerance);
  return {std::move(after), context.statistics["fold_scales.folded"]};
}

TEST(FoldScales, BatchNormBecomesABias) {
  Net net;
  const Shape c{1, 6, 1, 1};
  const Value y = ops::conv2d(net.input({2, 4, 5, 5}), net.constant({6, 4, 3, 3}));
  net.graph.fetch("y", ops::relu((y - net.constant(c)) * net.constant(c) + net.constant(c)));
  const auto [after, count] = folded(net.graph);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(count_ops(*after, "add"), 1);
  EXPECT_EQ(count_ops(*after, "mul") + count_ops(*after, "sub"), 0);
  EXPECT_EQ(count_ops(*after, "constant"), 2);
}

TEST(FoldScales, GroupsScalarsAndEitherOrder) {
  Net net;
  Conv2dOptions options;
  options.groups = 2;
  const Value y = ops::conv2d(net.input({2, 4, 5, 5}), net.constant({6, 2, 3, 3}), options);
  const Value scaled = (net.constant({6, 1, 1}) - y) / net.graph.scalar(3.0);
  net.graph.fetch("y", net.graph.scalar(0.5) * scaled + net.graph.scalar(2.0));
  const auto [after, count] = folded(net.graph);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(count_ops(*after, "add"), 1);
  EXPECT_EQ(count_ops(*after, "div") + count_ops(*after, "mul") + count_ops(*after, "sub"), 0);
}

TEST(FoldScales, ProductsEitherWayRound) {
  for (const bool transposed : {false, true}) {
    Net net;
    const Value w = net.constant(transposed ? Shape{5, 3} : Shape{3, 5});
    const Value y = ops::matmul(net.input({4, 3}), w, false, transposed);
    net.graph.fetch("y", y * net.constant({5}));
    const auto [after, count] = folded(net.graph);
    EXPECT_EQ(count, 1);
    EXPECT_EQ(count_ops(*after, "mul") + count_ops(*after, "add"), 0);
  }
}

TEST(FoldScales, LeavesWhatItMustNotTouch) {
  const Shape x{2, 4, 5, 5};
  const Shape w{6, 4, 3, 3};
  {  // weights that may change
    Net net;
    const Value weight = net.graph.variable("w", {DType::f32, w}, Initializer::constant(1));
    net.graph.fetch("y", ops::conv2d(net.input(x), weight) * net.constant({6, 1, 1}));
    EXPECT_EQ(folded(net.graph).second, 0);
  }
  {  // the unscaled result is fetched
    Net net;
    const Value y = ops::conv2d(net.input(x), net.constant(w));
    net.graph.fetch("y", y);
    net.graph.fetch("scaled", y * net.constant({6, 1, 1}));
    EXPECT_EQ(folded(net.graph).second, 0);
  }
  {  // or needed by another Node
    Net net;
    const Value y = ops::conv2d(net.input(x), net.constant(w));
    net.graph.fetch("y", y * net.constant({6, 1, 1}) + ops::relu(y));
    EXPECT_EQ(folded(net.graph).second, 0);
  }
  {  // a factor for each column is not one for each channel
    Net net;
    net.graph.fetch("y", ops::conv2d(net.input(x), net.constant(w)) * net.constant({3}));
    EXPECT_EQ(folded(net.graph).second, 0);
  }
  {  // the product is wider than the convolution's result
    Net net;
    net.graph.fetch("y",
                    ops::matmul(net.input({1, 3}), net.constant({3, 5})) * net.constant({4, 1}));
    EXPECT_EQ(folded(net.graph).second, 0);
  }
  {  // an offset alone is a bias already
    Net net;
    net.graph.fetch("y", ops::conv2d(net.input(x), net.constant(w)) + net.constant({6, 1, 1}));
    EXPECT_EQ(folded(net.graph).second, 0);
  }
  {  // a division by zero stays where the user wrote it
    Net net;
    const Value y = ops::conv2d(net.input(x), net.constant(w));
    net.graph.fetch("y", y / net.graph.scalar(0.0));
    EXPECT_EQ(folded(net.graph).second, 0);
  }
}

/// Every record that names a scaled operand keeps its word, on its own cases.
TEST(FoldScales, RecordsSayWhereFactorsGo) {
  int checked = 0;
  for (const OpDef* op : all_ops()) {
    if (op->scaled_operand == nullptr) continue;
    for (const OpCase& one : op->cases()) {
      Graph graph;
      std::vector<Value> inputs;
      for (std::size_t i = 0; i < one.inputs.size(); ++i) {
        inputs.push_back(graph.placeholder("x" + std::to_string(i), one.inputs[i].type));
      }
      const Node* node = graph.add(*op, inputs, one.attrs);
      const TensorType type = node->output_type();
      if (type.dtype != DType::f32 || type.numel() == 0) continue;
      const ScaledOperand where = op->scaled_operand(*node);
      const auto along = [](int rank, int axis, std::int64_t size) {
        Shape shape(std::vector<std::int64_t>(static_cast<std::size_t>(rank), 1));
        shape[axis] = size;
        return shape;
      };
      const std::int64_t size = type.shape[where.output_axis];
      const Value factors = graph.placeholder("factors", {DType::f32, {size}});
      const Shape& operand = inputs[static_cast<std::size_t>(where.operand)].shape();
      ASSERT_EQ(operand[where.operand_axis], size) << op->name << ": " << one.name;
      graph.fetch("outside",
                  const_cast<Node*>(node)->output() *
                      ops::reshape(factors, along(type.shape.rank(), where.output_axis, size)));
      Value& scaled = inputs[static_cast<std::size_t>(where.operand)];
      scaled = scaled * ops::reshape(factors, along(operand.rank(), where.operand_axis, size));
      graph.fetch("inside", graph.add(*op, inputs, one.attrs)->output());
      const auto results = testing_support::evaluate_random(graph, 5).fetches;
      for (std::int64_t i = 0; i < type.numel(); ++i) {
        const double want = results.at("outside").view().get(i);
        ASSERT_NEAR(results.at("inside").view().get(i), want, 1e-4 * (1 + std::abs(want)))
            << op->name << ": " << one.name;
      }
      ++checked;
    }
  }
  EXPECT_GE(checked, 10);
}

}  // namespace
}  // namespace ingot
