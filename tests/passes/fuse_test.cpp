#include <gtest/gtest.h>

#include <algorithm>

#include "ingot/autodiff/gradients.h"
#include "ingot/base/trace.h"
#include "ingot/ops/op_list.h"
#include "ingot/passes/passes.h"
#include "tests/passes/support/fake_target.h"
#include "tests/passes/support/graphs.h"

namespace ingot {
namespace {

using testing_support::count_ops;
using testing_support::expect_equivalent;
using testing_support::FakeTarget;

constexpr double kTolerance = 1e-5;

TensorType f32(Shape shape) { return {DType::f32, shape}; }

struct Net {
  Graph graph;
  Value input(std::string name, Shape shape) {
    return graph.placeholder(std::move(name), f32(shape));
  }
};

/// The ops in the bodies of a Graph's Regions, one text a Region: "conv2d add relu".
std::vector<std::string> regions(const Graph& graph) {
  std::vector<std::string> texts;
  for (const auto& node : graph.nodes()) {
    if (node->body() == nullptr) continue;
    std::string text;
    for (const auto& inner : node->body()->nodes()) {
      if (inner->op().traits.source) continue;
      if (!text.empty()) text += ' ';
      text += inner->op().name;
    }
    texts.push_back(text);
  }
  return texts;
}

using Texts = std::vector<std::string>;

std::unique_ptr<Graph> fused(const Graph& graph, const FakeTarget& target = {},
                             StepForm form = StepForm::latency) {
  PassContext context(target);
  context.form = form;
  auto after = fuse(graph, context);
  expect_equivalent(graph, *after, kTolerance);
  return after;
}

TEST(Fuse, ConvolutionTakesBiasActivationAndResidual) {
  Net net;
  const Value x = net.input("x", {2, 8, 5, 5});
  const Value w = net.input("w", {8, 8, 3, 3});
  const Value b = net.input("b", {8});
  const Value residual = net.input("residual", {2, 8, 3, 3});
  const Value y = ops::conv2d(x, w) + ops::reshape(b, {1, 8, 1, 1});
  net.graph.fetch("y", ops::relu(y + residual));
  const auto after = fused(net.graph);
  EXPECT_EQ(regions(*after), (Texts{"conv2d add add relu"}));
  const Node& region = *after->fetches()[0].value.node();
  EXPECT_EQ(region.name(), "conv2d_0.fused");
  EXPECT_EQ(region.outputs().size(), 1u);
}

TEST(Fuse, EpilogueWaitsForOperandsThatComeLater) {
  Net net;
  const Value x = net.input("x", {2, 8, 5, 5});
  const Value w = net.input("w", {8, 8, 3, 3});
  const Value v = net.input("v", {8, 8, 3, 3});
  // Both convolutions feed one sum: it joins the one that can run last.
  const Value a = ops::conv2d(x, w);
  const Value b = ops::relu(ops::conv2d(x, v));
  net.graph.fetch("y", ops::relu(a + b));
  EXPECT_EQ(regions(*fused(net.graph)), (Texts{"conv2d relu", "conv2d add relu"}));
}

/// Logits and labels, for a target that keeps a loss and its gradient whole.
struct LossNet : Net {
  FakeTarget target;
  Value x = input("x", {4, 3});
  Value labels = graph.placeholder("labels", {DType::i32, {4}});

  explicit LossNet(bool joins) {
    target.claimed = {"cross_entropy", "cross_entropy_grad"};
    target.joins_losses = joins;
  }
};

TEST(Fuse, ALossAndItsGradientJoin) {
  for (const bool joins : {true, false}) {
    LossNet net(joins);
    const Value g = net.input("g", {4});
    net.graph.fetch("loss", ops::sum(ops::cross_entropy(net.x, net.labels), {}));
    net.graph.fetch("grad",
                    net.graph.add(cross_entropy_grad_op(), {net.x, net.labels, g})->output());
    const auto after = fused(net.graph, net.target);
    EXPECT_EQ(std::ranges::count(regions(*after), "cross_entropy cross_entropy_grad"),
              joins ? 1 : 0);
    EXPECT_EQ(count_ops(*after, "cross_entropy"), joins ? 0 : 1);
  }
}

TEST(Fuse, AGradientThatWaitsForItsLossRunsApart) {
  LossNet net(true);
  const Value loss = ops::cross_entropy(net.x, net.labels);
  const std::vector<Value> of{net.x};
  net.graph.fetch("grad", gradients(ops::sum(loss * loss, {}), of)[0]);
  EXPECT_EQ(count_ops(*fused(net.graph, net.target), "cross_entropy"), 1);
}

TEST(Fuse, ProducerNeededElsewhereStaysAlone) {
  Net net;
  const Value x = net.input("x", {2, 8, 5, 5});
  const Value w = net.input("w", {8, 8, 3, 3});
  const Value y = ops::conv2d(x, w);
  net.graph.fetch("y", y);
  net.graph.fetch("z", ops::tanh(ops::relu(y)));
  EXPECT_EQ(regions(*fused(net.graph)), (Texts{"relu tanh"}));
}

TEST(Fuse, ProducerMayFeedADiamond) {
  Net net;
  const Value a = net.input("a", {4, 8});
  const Value b = net.input("b", {8, 4});
  const Value y = ops::matmul(a, b);
  const Value gated = y * ops::sigmoid(y);
  net.graph.fetch("y", gated + ops::tanh(y));
  EXPECT_EQ(regions(*fused(net.graph)), (Texts{"matmul sigmoid mul tanh add"}));
}

TEST(Fuse, ElementwiseDagsOfOneShapeBecomeOneRegion) {
  Net net;
  const Value x = net.input("x", {2, 3, 4, 4});
  const Value c = net.input("c", {1, 3, 1, 1});
  const Value a = ops::exp(x * ops::exp(c)) + net.graph.scalar(2);
  const Value b = ops::tanh(x);
  net.graph.fetch("y", a * b);
  const auto after = fused(net.graph);
  // exp(c) is computed once a channel, not once an element.
  EXPECT_EQ(regions(*after), (Texts{"mul exp add tanh mul"}));
  EXPECT_EQ(count_ops(*after, "exp"), 1);
  // The constant is in the body.
  EXPECT_EQ(after->fetches()[0].value.node()->inputs().size(), 2u);
}

TEST(Fuse, ValuesNeededOutsideAreFurtherResults) {
  Net net;
  const Value x = net.input("x", {4, 8});
  const Value w = net.input("w", {8, 8});
  const Value a = ops::exp(x);
  const Value b = ops::tanh(a);
  net.graph.fetch("product", ops::matmul(b, w));
  net.graph.fetch("sum", b + a);
  const auto after = fused(net.graph);
  ASSERT_EQ(regions(*after), (Texts{"exp tanh add"}));
  EXPECT_EQ(after->fetches()[1].value.node()->outputs().size(), 2u);
}

TEST(Fuse, PassesOverACommonValueAreOneWhereBytesCount) {
  Net net;
  const Value x = net.input("x", {4, 8});
  const Value w = net.input("w", {8, 8});
  net.graph.fetch("first", ops::matmul(ops::exp(x), w));
  // A view that stands behind what waits for the first pass does not keep the second one there.
  const Value c = ops::reshape(net.input("c", {8}), {1, 8});
  net.graph.fetch("second", ops::matmul(ops::tanh(x) * c, w));
  EXPECT_EQ(regions(*fused(net.graph)), (Texts{"tanh mul"}));
  EXPECT_EQ(regions(*fused(net.graph, {}, StepForm::throughput)), (Texts{"exp tanh mul"}));
}

TEST(Fuse, RegionsNeverWaitForThemselves) {
  Net net;
  const Value x = net.input("x", {8, 8});
  const Value a = ops::exp(x);
  const Value product = ops::matmul(a, a);
  net.graph.fetch("y", ops::relu(product) + ops::tanh(a) + a);
  const auto after = fused(net.graph);
  for (const std::string& text : regions(*after)) {
    EXPECT_FALSE(text.find("exp") != text.npos && text.find("relu") != text.npos) << text;
  }
}

TEST(Fuse, ReductionComputesItsChain) {
  Net net;
  const Value x = net.input("x", {2, 3, 4, 4});
  net.graph.fetch("y", ops::sum(ops::exp(x) * x, {0, 2, 3}));
  EXPECT_EQ(regions(*fused(net.graph)), (Texts{"exp mul sum"}));
}

TEST(Fuse, CountsMatchesInOneKernel) {
  Net net;
  const Value a = net.input("a", {8});
  const Value b = net.input("b", {8});
  const Value hits = ops::cast(ops::elementwise("eq", {a, b}), DType::i32);
  net.graph.fetch("y", ops::sum(hits, {}));
  EXPECT_EQ(regions(*fused(net.graph)), (Texts{"eq cast sum"}));
}

TEST(Fuse, ReductionOfWhatIsStoredRunsWithItsMaker) {
  Net net;
  const Value x = net.input("x", {8, 8});
  const Value y = ops::tanh(ops::exp(x));
  net.graph.fetch("product", ops::matmul(y, y));
  net.graph.fetch("total", ops::sum(y, {0}));
  const auto after = fused(net.graph);
  EXPECT_EQ(regions(*after), (Texts{"exp tanh sum"}));
  FakeTarget target;
  target.refused = {"sum"};
  const auto apart = fused(net.graph, target);
  EXPECT_EQ(regions(*apart), (Texts{"exp tanh"}));
  EXPECT_EQ(count_ops(*apart, "sum"), 1);
}

TEST(Fuse, ReductionsOverTheSameMergeAndChainsAreComputedAgain) {
  // The shape of batch norm's backward pass.
  Net net;
  const Value x = net.input("x", {2, 8, 4, 4});
  const Value y = net.input("y", {2, 8, 4, 4});
  const Value g = net.input("g", {2, 8, 4, 4});
  const Value positive = ops::elementwise("gt", {y, net.graph.scalar(0)});
  const Value masked = ops::select(positive, g, net.graph.scalar(0));
  const Value dbeta = ops::sum(masked, {0, 2, 3}, true);
  const Value dgamma = ops::sum(masked * x, {0, 2, 3}, true);
  net.graph.fetch("dbeta", dbeta);
  net.graph.fetch("dgamma", dgamma);
  const Value projected = x * dgamma;  // its own statement: operands' order is the compiler's
  net.graph.fetch("dx", masked - dbeta - projected);
  const auto after = fused(net.graph);
  EXPECT_EQ(regions(*after), (Texts{"gt select sum mul sum", "gt select mul sub sub"}));
  EXPECT_EQ(after->fetches()[0].value.node(), after->fetches()[1].value.node());
}

TEST(Fuse, ReductionsThatDependOnEachOtherStayApart) {
  Net net;
  const Value x = net.input("x", {4, 8});
  const Value largest = ops::reduce_max(x, {1}, true);
  const Value e = ops::exp(x - largest);
  net.graph.fetch("y", e / ops::sum(e, {1}, true));
  EXPECT_EQ(regions(*fused(net.graph)), (Texts{"sub exp sum", "sub exp div"}));
}

TEST(Fuse, ForwardRegionsDoNotPrepareTheBackwardPass) {
  Net net;
  const Value a = net.input("a", {4, 8});
  const Value w = net.input("w", {8, 8});
  const Value v = net.input("v", {8, 8});
  const Value h = ops::tanh(ops::matmul(a, w));
  const Value loss = ops::sum(ops::matmul(h, v) * ops::matmul(h, v), {});
  const std::vector<Value> wrt{w};
  net.graph.fetch("dw", gradients(loss, wrt).front());
  FakeTarget target;
  PassContext context(target);
  auto clean = eliminate_dead_code(*eliminate_common_subexpressions(net.graph, context), context);
  const auto after = fused(*clean);
  EXPECT_EQ(regions(*after).front(), "matmul tanh");
}

TEST(Fuse, TheTargetDecidesAndItsReasonIsTraced) {
  Net net;
  const Value a = net.input("a", {4, 8});
  const Value b = net.input("b", {8, 4});
  net.graph.fetch("y", ops::relu(ops::matmul(a, b)));
  FakeTarget target;
  target.refused = {"relu"};
  PassContext context(target);
  const TraceCapture capture("dispatch");
  const auto after = fuse(net.graph, context);
  EXPECT_EQ(regions(*after), Texts{});
  EXPECT_EQ(capture.lines(),
            (Texts{"fuse: relu \"relu_0\" does not join matmul \"matmul_0\": no fused kernel for "
                   "relu",
                   "fuse: relu \"relu_0\" f32[4,4] stays alone: no fused kernel for relu"}));
  EXPECT_EQ(context.statistics["fuse.refused"], 1);
  EXPECT_EQ(context.statistics["fuse.alone"], 1);
}

TEST(Fuse, RespectsTheTargetsLimits) {
  Net net;
  Value x = net.input("x", {16});
  for (int i = 0; i < 100; ++i) x = ops::tanh(x);
  net.graph.fetch("y", x);
  FakeTarget target;
  target.max_region = 8;
  const auto after = fused(net.graph, target);
  for (const auto& node : after->nodes()) {
    if (node->body() != nullptr) {
      EXPECT_LE(node->body()->size(), 9u);
    }
  }
}

TEST(Fuse, KeepsDeadNodesHarmless) {
  Net net;
  const Value x = net.input("x", {4});
  ops::tanh(ops::exp(x));
  net.graph.fetch("y", ops::relu(x));
  EXPECT_EQ(regions(*fused(net.graph)), Texts{});
}

}  // namespace
}  // namespace ingot
