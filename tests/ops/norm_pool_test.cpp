// What the records' cases cannot say of pools, moments and batch norm.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ingot/ir/evaluate.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/pool2d.h"

namespace ingot {
namespace {

std::vector<BatchKind> kinds(const Node& node, const std::vector<int>& axes) {
  std::vector<BatchKind> result;
  for (const BatchResult& batch : node.op().batch(node, axes)) result.push_back(batch.kind);
  return result;
}

TEST(MaxPool2d, NotANumberStays) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const TensorType type{DType::f64, {1, 1, 1, 4}};
  Graph graph;
  const MaxPool2dOptions options{.kernel = {1, 2}};
  const Value x = graph.placeholder("x", type);
  const Value y = ops::max_pool2d(x, options);
  graph.fetch("y", y);
  graph.fetch("dx", ops::max_pool2d_grad(x, y, graph.full(y.type(), 3.0), options));
  const std::vector<double> values{1, nan, nan, 5};
  const Evaluation result = evaluate(graph, {{"x", HostTensor(type, values)}});
  for (const double value : result.fetches.at("y").to_doubles()) EXPECT_TRUE(std::isnan(value));
  EXPECT_EQ(result.fetches.at("dx").to_doubles(), (std::vector<double>{0, 3, 3, 0}));
}

TEST(MaxPool2d, FirstOfEqualMaximaTakesTheGradient) {
  const TensorType type{DType::f64, {1, 1, 2, 2}};
  Graph graph;
  const Value x = graph.placeholder("x", type);
  const Value y = ops::max_pool2d(x);
  graph.fetch("dx", ops::max_pool2d_grad(x, y, graph.full(y.type(), 1.0)));
  const std::vector<double> values{0, 7, 7, 7};
  EXPECT_EQ(evaluate(graph, {{"x", HostTensor(type, values)}}).fetches.at("dx").to_doubles(),
            (std::vector<double>{0, 1, 0, 0}));
}

TEST(Pools, StrideIsTheKernelUnlessGiven) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {1, 2, 9, 8}});
  EXPECT_EQ(ops::max_pool2d(x, {.kernel = {3, 2}}).shape(), (Shape{1, 2, 3, 4}));
  EXPECT_EQ(ops::avg_pool2d(x, {.kernel = {3, 2}}).shape(), (Shape{1, 2, 3, 4}));
  EXPECT_EQ(ops::avg_pool2d(x, {.kernel = {3, 2}, .stride = {{1, 1}}}).shape(),
            (Shape{1, 2, 7, 7}));
}

TEST(BatchRules, OfPoolsAndNorms) {
  using enum BatchKind;
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {4, 2, 6, 6}});
  const Value c = graph.placeholder("c", {DType::f32, {2}});
  const Value y = ops::max_pool2d(x);
  const auto one = [](BatchKind kind) { return std::vector<BatchKind>{kind}; };
  EXPECT_EQ(kinds(*y.node(), {0}), one(kept));
  EXPECT_EQ(kinds(*y.node(), {2}), one(mixed));
  EXPECT_EQ(kinds(*ops::max_pool2d_grad(x, y, y).node(), {0, 0, 0}), one(kept));
  EXPECT_EQ(kinds(*ops::max_pool2d_grad(x, y, y).node(), {0, -1, 0}), one(mixed));
  EXPECT_EQ(kinds(*ops::avg_pool2d(x).node(), {0}), one(kept));
  EXPECT_EQ(kinds(*ops::global_avg_pool2d(x).node(), {0}), one(kept));
  EXPECT_EQ(kinds(*ops::moments(x, {2, 3}).mean.node(), {0}), (std::vector{kept, kept}));
  EXPECT_EQ(kinds(*ops::moments(x, {0, 2}).mean.node(), {0}), (std::vector{mixed, mixed}));
  EXPECT_EQ(kinds(*ops::batch_norm(x, c, c).y.node(), {0, -1, -1}),
            (std::vector{mixed, mixed, mixed}));
  EXPECT_EQ(kinds(*ops::batch_norm_grad(x, x, c, c, c).dx.node(), {0, 0, -1, -1, -1}),
            (std::vector{mixed, reduced, reduced}));
  EXPECT_EQ(kinds(*ops::batch_norm_inference(x, c, c, c, c).node(), {0, -1, -1, -1, -1}),
            one(kept));
}

TEST(BatchNorm, ParametersAndStatisticsStayF32ForNarrowInputs) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::bf16, {4, 2, 3, 4}});
  const Value c = graph.placeholder("c", {DType::f32, {2}});
  const BatchNorm norm = ops::batch_norm(x, c, c);
  EXPECT_EQ(norm.y.type(), x.type());
  EXPECT_EQ(norm.mean.type(), c.type());
  const BatchNormGrad grad = ops::batch_norm_grad(x, norm.y, c, norm.mean, norm.var);
  EXPECT_EQ(grad.dx.type(), x.type());
  EXPECT_EQ(grad.dgamma.type(), c.type());
  graph.fetch("var", norm.var);
  graph.fetch("dx", grad.dx);
  HostTensor image(x.type());
  for (std::int64_t i = 0; i < image.view().numel(); ++i) {
    image.view().set(i, 64 + static_cast<double>(i % 2));
  }
  const std::vector<double> ones{1, 1};
  const Evaluation result = evaluate(graph, {{"x", image}, {"c", HostTensor(c.type(), ones)}});
  // The variance of 64 and 65 is out of reach of bf16 arithmetic.
  for (const double var : result.fetches.at("var").to_doubles()) EXPECT_NEAR(var, 0.25, 1e-6);
}

}  // namespace
}  // namespace ingot
