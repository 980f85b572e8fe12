#include <gtest/gtest.h>

#include "ingot/ir/evaluate.h"
#include "ingot/ops/conv2d_shape.h"
#include "ingot/ops/ops.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

TEST(Conv2d, SmallCaseByHand) {
  Graph graph;
  const TensorType x{DType::f64, {1, 1, 3, 3}};
  const TensorType w{DType::f64, {1, 1, 2, 2}};
  graph.fetch("y", ops::conv2d(graph.placeholder("x", x), graph.placeholder("w", w),
                               {.padding = {0, 1, 0, 0}}));
  const std::vector<double> image{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const std::vector<double> kernel{1, 10, 100, 1000};
  const HostTensor y =
      evaluate(graph, {{"x", HostTensor(x, image)}, {"w", HostTensor(w, kernel)}}).fetches.at("y");
  EXPECT_EQ(y.type().shape, (Shape{1, 1, 3, 2}));
  EXPECT_EQ(y.to_doubles(), (std::vector<double>{5421, 6532, 8754, 9865, 87, 98}));
}

TEST(Conv2d, ShapeOfEachOfTheThree) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 6, 9, 8}});
  const Value w = graph.placeholder("w", {DType::f32, {4, 3, 3, 2}});
  const Conv2dOptions options{
      .stride = {2, 1}, .padding = {1, 0, 0, 1}, .dilation = {1, 2}, .groups = 2};
  const Value y = ops::conv2d(x, w, options);
  EXPECT_EQ(y.shape(), (Shape{2, 4, 4, 7}));
  const Value dx = ops::conv2d_input_grad(y, w, x.shape(), options);
  const Value dw = ops::conv2d_weight_grad(x, y, w.shape(), options);
  EXPECT_EQ(dx.shape(), x.shape());
  EXPECT_EQ(dw.shape(), w.shape());
  for (const Value value : {y, dx, dw}) {
    const Conv2dShape shape = conv2d_shape(*value.node());
    EXPECT_EQ(shape.input(), x.shape());
    EXPECT_EQ(shape.weight(), w.shape());
    EXPECT_EQ(shape.output(), y.shape());
    EXPECT_EQ(shape.groups, 2);
    EXPECT_EQ(shape.flops(), 2.0 * (2 * 4 * 4 * 7) * (3 * 3 * 2));
    EXPECT_EQ(value.node()->op().cost(*value.node()).flops, shape.flops());
  }
}

TEST(Conv2d, BatchRules) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 3, 8, 8}});
  const Value w = graph.placeholder("w", {DType::f32, {4, 3, 3, 3}});
  const Value y = ops::conv2d(x, w);
  const Value dx = ops::conv2d_input_grad(y, w, x.shape());
  const Value dw = ops::conv2d_weight_grad(x, y, w.shape());
  const auto rule = [](Value value, std::vector<int> axes) {
    return value.node()->op().batch(*value.node(), axes)[0].kind;
  };
  EXPECT_EQ(rule(y, {0, -1}), BatchKind::kept);
  EXPECT_EQ(rule(y, {-1, -1}), BatchKind::none);
  EXPECT_EQ(rule(y, {1, -1}), BatchKind::mixed);
  EXPECT_EQ(rule(dx, {0, -1}), BatchKind::kept);
  EXPECT_EQ(rule(dw, {0, 0}), BatchKind::reduced);
  EXPECT_EQ(rule(dw, {0, -1}), BatchKind::mixed);
}

TEST(Conv2d, HelpTellsTheRemedy) {
  const auto what = [&](const TensorType& type, const Conv2dOptions& options) {
    return testing_support::error_of([&] {
      Graph graph;
      const Value x = graph.placeholder("x", type);
      ops::conv2d(x, graph.placeholder("w", {DType::f32, {3, 3, 16, 32}}), options);
    });
  };
  EXPECT_NE(what({DType::f32, {1, 16, 8, 8}}, {})
                .find("help: expected OIHW [O, C/groups, kH, kW]; transpose HWIO weights with "
                      "{3, 2, 0, 1}"),
            std::string::npos);
  EXPECT_NE(what({DType::f32, {16, 8, 8}}, {})
                .find("help: add a batch dimension: reshape [C, H, W] to [1, C, H, W]"),
            std::string::npos);
  EXPECT_NE(what({DType::f32, {1, 16, 8, 8}}, {.groups = 0})
                .find("help: 1 is an ordinary convolution, the number of input channels a "
                      "depthwise one"),
            std::string::npos);
}

}  // namespace
}  // namespace ingot
