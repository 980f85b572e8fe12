#include <gtest/gtest.h>

#include <utility>

#include "ingot/ops/conv2d_shape.h"
#include "ingot/passes/passes.h"
#include "tests/passes/support/fake_target.h"
#include "tests/passes/support/graphs.h"

namespace ingot {
namespace {

using testing_support::count_ops;
using testing_support::expect_equivalent;
using testing_support::FakeTarget;

/// The convolution and its weight gradient, before and after the pass for a target that wants them.
std::pair<std::unique_ptr<Graph>, std::int64_t> gathered(const Shape& x_shape, const Shape& w_shape,
                                                         const Conv2dOptions& options) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f64, x_shape});
  const Value w = graph.placeholder("w", {DType::f64, w_shape});
  const Value y = ops::conv2d(x, w, options);
  graph.fetch("y", y);
  graph.fetch("g", ops::conv2d_weight_grad(x, y * y, w_shape, options));
  FakeTarget target;
  target.gathers_channels = 4;
  PassContext context(target);
  auto after = space_to_depth(graph, context);
  expect_equivalent(graph, *after, 1e-12);
  return {std::move(after), context.statistics["space_to_depth.rewritten"]};
}

const Node* conv_of(const Graph& graph) {
  for (const auto& node : graph.nodes()) {
    if (node->op().name == "conv2d") return node.get();
  }
  return nullptr;
}

TEST(SpaceToDepth, StemOverBlocksOfFourPixels) {
  const auto [after, count] =
      gathered({2, 3, 16, 16}, {5, 3, 7, 7}, {.stride = {2, 2}, .padding = {3, 3, 3, 3}});
  EXPECT_EQ(count, 2);
  const Node* conv = conv_of(*after);
  EXPECT_EQ(conv->input_type(0).shape, (Shape{2, 12, 8, 8}));
  EXPECT_EQ(conv->input_type(1).shape, (Shape{5, 12, 4, 4}));
  EXPECT_EQ(conv2d_options(*conv).stride, (std::array<std::int64_t, 2>{1, 1}));
  // One gathered image for the convolution and its gradient.
  EXPECT_EQ(count_ops(*after, "transpose"), 3);
}

TEST(SpaceToDepth, EveryStrideKernelAndPadding) {
  std::int64_t rewritten = 0;
  for (const std::int64_t stride_w : {1, 2, 4}) {
    for (const std::int64_t kernel : {1, 2, 3, 5}) {
      for (const std::int64_t padding : {0, 1, 2}) {
        const auto [after, count] =
            gathered({2, 2, 6, 8}, {3, 2, kernel, 3},
                     {.stride = {2, stride_w}, .padding = {padding, 1, padding, padding}});
        SCOPED_TRACE(std::to_string(stride_w) + " " + std::to_string(kernel) + " " +
                     std::to_string(padding));
        if (count > 0) {
          EXPECT_EQ(conv2d_options(*conv_of(*after)).stride, (std::array<std::int64_t, 2>{1, 1}));
        }
        rewritten += count;
      }
    }
  }
  EXPECT_EQ(rewritten, 2 * 3 * 4 * 3) << "nothing here does not fit";
}

TEST(SpaceToDepth, LeavesWhatDoesNotFitItsBlocks) {
  const Conv2dOptions strided{.stride = {2, 2}};
  EXPECT_EQ(gathered({1, 3, 9, 8}, {4, 3, 3, 3}, strided).second, 0) << "odd height";
  EXPECT_EQ(gathered({1, 8, 8, 8}, {4, 8, 3, 3}, strided).second, 0) << "channels";
  EXPECT_EQ(gathered({1, 3, 8, 8}, {4, 3, 3, 3}, {}).second, 0) << "stride 1";
  EXPECT_EQ(gathered({1, 4, 8, 8}, {4, 2, 3, 3}, {.stride = {2, 2}, .groups = 2}).second, 0);
  EXPECT_EQ(gathered({1, 3, 8, 8}, {4, 3, 3, 3}, {.stride = {2, 2}, .dilation = {2, 2}}).second, 0);
}

}  // namespace
}  // namespace ingot
