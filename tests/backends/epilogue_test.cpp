// Convolutions and products with elementwise Nodes behind them, against the reference.
#include <gtest/gtest.h>

#include <cmath>

#include "ingot/backends/cpu/conv_streamed_simd.h"
#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/conv_cases.h"
#include "tests/backends/support/node_harness.h"
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
    const LayoutWish wish = backend.layouts(region, StepForm::latency);
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

TEST(Epilogue, BiasAndReluAreTheDepthwiseConvolutionsOwn) {
  const CpuBackend backend({.threads = 1});
  for (const std::int64_t channels : {32, 21}) {  // those that fill blocks, and others
    RegionBuilder builder;
    const Value x = builder.operand({DType::f32, {2, channels, 9, 20}});
    const Value w = builder.operand({DType::f32, {channels, 1, 7, 7}});
    const Value bias = builder.operand({DType::f32, {1, channels, 1, 1}});
    const Value y = bias + ops::conv2d(x, w, {.padding = {3, 3, 3, 3}, .groups = channels});
    const Node& region = builder.finish({ops::relu(y)}, backend);
    expect_region(region);
    EXPECT_EQ(run_node(region, random_operands(region), backend).kernel,
              "depthwise with bias and relu");
  }
}

TEST(Epilogue, FollowsConvolutionsWhoseWeightsPassByOnce) {
  const CpuBackend backend({.threads = 1});
  for (const bool adds : {false, true}) {
    RegionBuilder builder;
    const Value x = builder.operand({DType::f32, {1, 64, 6, 5}});
    const Value w = builder.operand({DType::f32, {144, 64, 3, 3}});
    const Value bias = builder.operand({DType::f32, {1, 144, 1, 1}});
    Value y = bias + ops::conv2d(x, w, {.padding = {1, 1, 1, 1}});
    if (adds) y = y + builder.operand(y.type());
    const Node& region = builder.finish({ops::relu(y)}, backend);
    expect_region(region);
    std::vector<HostTensor> operands = random_operands(region);
    operands[2].view().set(3, std::nan(""));
    const NodeRun run = run_node(region, operands, backend);
    EXPECT_TRUE(std::isnan(run.outputs[0].view().get(3 * 30)));
    const std::int64_t block = region.outputs()[0].layout == Layout::channels_blocked(16)  ? 16
                               : region.outputs()[0].layout == Layout::channels_blocked(8) ? 8
                                                                                           : 0;
    if (block == 0 || cpu::streamed_product(block) == nullptr) continue;
    EXPECT_EQ(run.kernel, adds ? "streamed + epilogue" : "streamed with bias and relu");
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

/// A product and the update by SGD with momentum of the parameter whose gradient it is.
const Node& product_and_update(RegionBuilder& builder, const CpuBackend& backend, DType dtype,
                               Value gradient) {
  const Value lr = builder.operand({dtype, {}});
  const Value p = builder.operand({dtype, gradient.shape()});
  const Value m = builder.operand({dtype, gradient.shape()});
  const std::vector<std::string> names{"lr", "p", "g", "m"};
  const auto results =
      ops::optimizer_update(ScalarProgram::parse("v = 0.9 * m + g; p - lr * v, v", names), {{lr}},
                            {{{p, gradient, {m}}}});
  return builder.finish({results[0].parameter, results[0].states[0]}, backend);
}

TEST(Epilogue, UpdatesAParameterWithTheProductThatIsItsGradient) {
  const CpuBackend backend({.threads = 1});
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Shape& sizes : {Shape{32, 128, 784}, Shape{32, 10, 64}, Shape{7, 33, 5},
                               Shape{3, 1, 700}, Shape{64, 200, 96}, Shape{0, 3, 4}}) {
      SCOPED_TRACE(sizes.to_string());
      RegionBuilder builder;
      const Value y = builder.operand({dtype, {sizes[0], sizes[1]}});
      const Value x = builder.operand({dtype, {sizes[0], sizes[2]}});
      expect_region(product_and_update(builder, backend, dtype, ops::matmul(y, x, true)));
    }
  }
}

TEST(Epilogue, MayOverwriteWhatItReadsAsItGoesAlone) {
  const CpuBackend backend({.threads = 1});
  RegionBuilder builder;
  const Value y = builder.operand({DType::f32, {32, 64}});
  const Value x = builder.operand({DType::f32, {32, 64}});
  const Node& region = product_and_update(builder, backend, DType::f32, ops::matmul(y, x, true));
  const NodeHarness harness(region, random_operands(region), backend, "epilogue");
  const auto overwrites = [&](int input, int output) {
    return harness.kernel().in_place(input, output);
  };
  // y, x, lr, p, m.
  EXPECT_TRUE(overwrites(3, 0));
  EXPECT_TRUE(overwrites(4, 1));
  for (const int operand : {0, 1, 2}) {
    EXPECT_FALSE(overwrites(operand, 0)) << operand;
    EXPECT_FALSE(overwrites(operand, 1)) << operand;
  }
}

TEST(Epilogue, BiasAndReluAreTheProductsOwn) {
  const CpuBackend backend({.threads = 1});
  const auto kernel_of = [&](const Shape& x, const Shape& bias, bool relu) {
    RegionBuilder builder;
    const Value w = builder.operand({DType::f32, {x[x.rank() - 1], 37}});
    Value weights = w;
    if (x.rank() == 3) weights = builder.operand({DType::f32, {x[0], x[2], 37}});
    const Value y = ops::matmul(builder.operand({DType::f32, x}), weights) +
                    builder.operand({DType::f32, bias});
    const Node& region = builder.finish({relu ? ops::relu(y) : y}, backend);
    expect_region(region);
    return run_node(region, random_operands(region), backend).kernel;
  };
  EXPECT_EQ(kernel_of({32, 20}, {37}, true), "direct with bias and relu");
  EXPECT_EQ(kernel_of({32, 20}, {1, 37}, false), "direct with bias");
  EXPECT_EQ(kernel_of({200, 70}, {37}, true), "direct with bias and relu");
  EXPECT_EQ(kernel_of({2, 5, 20}, {37}, true), "direct with bias and relu");
  EXPECT_EQ(kernel_of({32, 20}, {32, 1}, true), "direct + epilogue");
  EXPECT_EQ(kernel_of({37, 20}, {37, 37}, true), "direct + epilogue");
}

TEST(Epilogue, ProductsReluKeepsNan) {
  const CpuBackend backend({.threads = 1});
  RegionBuilder builder;
  const Value x = builder.operand({DType::f32, {3, 1}});
  const Value w = builder.operand({DType::f32, {1, 5}});
  const Node& region = builder.finish({ops::relu(ops::matmul(x, w))}, backend);
  std::vector<HostTensor> operands = random_operands(region);
  operands[0].view().set(1, std::nan(""));
  EXPECT_TRUE(std::isnan(run_node(region, operands, backend).outputs[0].view().get(7)));
}

TEST(Epilogue, SaysWhatMayNotFollow) {
  const CpuBackend backend({.threads = 1});
  Graph graph;
  const Value y = ops::matmul(graph.placeholder("a", {DType::f32, {4, 3}}),
                              graph.placeholder("b", {DType::f32, {3, 5}}));
  const Value wide = y + graph.placeholder("c", {DType::f32, {2, 4, 5}});
  const Value total = ops::sum(y, {0});
  const std::vector<const Node*> region{y.node()};
  EXPECT_TRUE(backend.can_fuse(region, *ops::relu(y).node(), StepForm::latency));
  EXPECT_EQ(backend.can_fuse(region, *wide.node(), StepForm::latency).reason,
            "an epilogue of [4,5] takes no [2,4,5]");
  EXPECT_EQ(backend.can_fuse(region, *total.node(), StepForm::latency).reason,
            "an epilogue takes no reductions");
  const auto update_of = [&](const Shape& shape) {
    const Value p = graph.placeholder("p" + std::to_string(graph.size()), {DType::f32, shape});
    return ops::optimizer_update(ScalarProgram::parse("p - g", std::vector<std::string>{"p", "g"}),
                                 {}, {{{p, p, {}}}})[0]
        .parameter.node();
  };
  EXPECT_TRUE(backend.can_fuse(region, *update_of({4, 5}), StepForm::latency));
  EXPECT_EQ(backend.can_fuse(region, *update_of({5}), StepForm::latency).reason,
            "an epilogue of [4,5] takes no [5]");
  const std::vector<const Node*> sum{total.node()};
  EXPECT_EQ(backend.can_fuse(sum, *update_of({5}), StepForm::latency).reason,
            "an update follows a convolution or product");
}

}  // namespace
}  // namespace ingot
