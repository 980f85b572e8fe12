// Convolutions and products with elementwise Nodes behind them, against the reference.
#include <gtest/gtest.h>

#include <cmath>

#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/conv_cases.h"
#include "tests/backends/support/node_run.h"

namespace ingot {
namespace {

/// A fused Region under construction: operands outside, a body inside.
class RegionBuilder {
 public:
  Value operand(const TensorType& type) {
    const auto index = static_cast<int>(operands_.size());
    operands_.push_back(outer_.placeholder("x" + std::to_string(index), type));
    return body_->argument(index, type);
  }
  Graph& body() { return *body_; }

  /// The Region in the layouts that the backend wishes for, as the layout pass sets them.
  const Node& finish(const std::vector<Value>& results, const CpuBackend& backend) {
    for (std::size_t i = 0; i < results.size(); ++i) {
      body_->fetch("y" + std::to_string(i), results[i]);
    }
    Node& region = *outer_.add_region(fused_op(), operands_, std::move(body_));
    const LayoutWish wish = backend.layouts(region);
    if (wish.agnostic) return region;
    for (std::size_t i = 0; i < operands_.size(); ++i) {
      operands_[i].node()->set_layout(0, wish.inputs[i]);
    }
    for (std::size_t i = 0; i < results.size(); ++i) {
      region.set_layout(static_cast<int>(i), wish.outputs[i]);
    }
    for (const auto& inner : region.body()->nodes()) {
      if (&inner->op() == &argument_op()) {
        inner->set_layout(0, wish.inputs[static_cast<std::size_t>(inner->integer("index"))]);
      } else if (inner->output_type().shape == region.output_type().shape) {
        inner->set_layout(0, wish.outputs[0]);
      }
    }
    return region;
  }

 private:
  Graph outer_;
  std::unique_ptr<Graph> body_ = std::make_unique<Graph>();
  std::vector<Value> operands_;
};

void expect_region(const Node& region) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  ASSERT_TRUE(one.supports(region)) << one.supports(region).reason;
  const std::vector<HostTensor> operands = random_operands(region);
  const NodeRun run = expect_matches_reference(region, operands, one, "epilogue", 16.0);
  EXPECT_EQ(run.outputs, run_node(region, operands, two, "epilogue").outputs)
      << "1 and 2 threads differ";
}

TEST(Epilogue, FollowsEveryConvolution) {
  const CpuBackend backend({.threads = 1});
  for (const ConvCase& conv : conv_cases()) {
    SCOPED_TRACE(conv.name);
    RegionBuilder builder;
    const Value x = builder.operand({DType::f32, conv.x});
    const Value w = builder.operand({DType::f32, conv.w});
    const Value y = ops::conv2d(x, w, conv.options);
    const Value bias = builder.operand({DType::f32, {1, conv.w[0], 1, 1}});
    const Value residual = builder.operand(y.type());
    expect_region(builder.finish({ops::relu(y + bias + residual)}, backend));
  }
}

TEST(Epilogue, BiasAndReluAreTheDirectConvolutionsOwn) {
  const CpuBackend backend({.threads = 1});
  for (const bool with_relu : {false, true}) {
    RegionBuilder builder;
    const Value x = builder.operand({DType::f32, {32, 3, 32, 32}});
    const Value w = builder.operand({DType::f32, {5, 3, 3, 3}});
    const Value bias = builder.operand({DType::f32, {1, 5, 1, 1}});
    const Value y = bias + ops::conv2d(x, w, {.padding = {1, 1, 1, 1}});
    const Node& region = builder.finish({with_relu ? ops::relu(y) : y}, backend);
    expect_region(region);
    EXPECT_EQ(run_node(region, random_operands(region), backend).kernel,
              with_relu ? "direct with bias and relu" : "direct with bias");
  }
}

TEST(Epilogue, ReluKeepsNan) {
  const CpuBackend backend({.threads = 1});
  RegionBuilder builder;
  const Value x = builder.operand({DType::f32, {1, 1, 4, 4}});
  const Value w = builder.operand({DType::f32, {1, 1, 1, 1}});
  const Node& region = builder.finish({ops::relu(ops::conv2d(x, w))}, backend);
  std::vector<HostTensor> operands = random_operands(region);
  operands[0].view().set(5, std::nan(""));
  EXPECT_TRUE(std::isnan(run_node(region, operands, backend).outputs[0].view().get(5)));
}

TEST(Epilogue, FollowsDataGradients) {
  const CpuBackend backend({.threads = 1});
  for (const ConvCase& conv : conv_cases()) {
    SCOPED_TRACE(conv.name);
    RegionBuilder builder;
    Graph shapes;
    const Shape y = ops::conv2d(shapes.placeholder("x", {DType::f32, conv.x}),
                                shapes.placeholder("w", {DType::f32, conv.w}), conv.options)
                        .shape();
    const Value g = builder.operand({DType::f32, y});
    const Value w = builder.operand({DType::f32, conv.w});
    const Value mask = builder.operand({DType::f32, conv.x});
    const Value dx = ops::conv2d_input_grad(g, w, conv.x, conv.options);
    expect_region(builder.finish({dx * ops::relu(mask)}, backend));
  }
}

TEST(Epilogue, KeepsWhatComesBeforeItAndHasSeveralResults) {
  const CpuBackend backend({.threads = 1});
  RegionBuilder builder;
  const Value x = builder.operand({DType::f32, {9, 16, 6, 6}});
  const Value w = builder.operand({DType::f32, {32, 16, 3, 3}});
  const Value scale = builder.operand({DType::f32, {1, 32, 1, 1}});
  const Value y = ops::conv2d(x, w, {.padding = {1, 1, 1, 1}});
  const Value scaled = y * ops::exp(scale);
  expect_region(builder.finish({y, scaled, ops::relu(scaled)}, backend));
}

TEST(Epilogue, FollowsProducts) {
  const CpuBackend backend({.threads = 1});
  for (const bool transpose : {false, true}) {
    RegionBuilder builder;
    const Value x = builder.operand({DType::f32, {32, 784}});
    const Value w = builder.operand({DType::f32, transpose ? Shape{128, 784} : Shape{784, 128}});
    const Value bias = builder.operand({DType::f32, {128}});
    expect_region(builder.finish({ops::relu(ops::matmul(x, w, false, transpose) + bias)}, backend));
  }
}

TEST(Epilogue, SaysWhatMayNotFollow) {
  const CpuBackend backend({.threads = 1});
  Graph graph;
  const Value y = ops::matmul(graph.placeholder("a", {DType::f32, {4, 3}}),
                              graph.placeholder("b", {DType::f32, {3, 5}}));
  const Value wide = y + graph.placeholder("c", {DType::f32, {2, 4, 5}});
  const Value total = ops::sum(y, {0});
  const std::vector<const Node*> region{y.node()};
  EXPECT_TRUE(backend.can_fuse(region, *ops::relu(y).node()));
  EXPECT_EQ(backend.can_fuse(region, *wide.node()).reason, "an epilogue of [4,5] takes no [2,4,5]");
  EXPECT_EQ(backend.can_fuse(region, *total.node()).reason, "an epilogue takes no reductions");
}

}  // namespace
}  // namespace ingot
