// Convolutions as vendors' libraries get them. The libraries' own kernels need a GPU: see
// cuda_device_test.cpp.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>

#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/libraries/library_conv.h"
#include "ingot/backends/cuda/libraries/library_epilogue.h"
#include "ingot/ops/ops.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"

namespace ingot::cuda {
namespace {

using Four = std::array<std::int64_t, 4>;

TEST(CudaLibrary, LayoutsBecomeStrides) {
  const TensorType type{DType::bf16, {2, 16, 5, 7}};
  const ConvTensor nhwc = conv_tensor(type, Layout::parse("acdb")).tensor;
  EXPECT_EQ(nhwc.dims, (Four{2, 16, 5, 7}));
  EXPECT_EQ(nhwc.strides, (Four{560, 1, 112, 16}));
  EXPECT_EQ(nhwc.bytes(), 2 * 2 * 560);
  const ConvTensor plain = conv_tensor(type, Layout{}).tensor;
  EXPECT_EQ(plain.strides, (Four{560, 35, 7, 1}));
}

TEST(CudaLibrary, PaddedChannelsCountAsChannels) {
  const TensorType type{DType::f16, {2, 3, 5, 7}};
  const ConvTensorResult padded = conv_tensor(type, Layout::parse("acdB8b"));
  EXPECT_EQ(padded.refusal, "");
  EXPECT_EQ(padded.tensor.dims, (Four{2, 8, 5, 7}));
  EXPECT_EQ(padded.tensor.strides, (Four{280, 1, 56, 8}));
}

TEST(CudaLibrary, BlocksInTheMiddleAreRefused) {
  const TensorType type{DType::f32, {2, 16, 5, 7}};
  EXPECT_EQ(conv_tensor(type, Layout::parse("aBcd8b")).refusal,
            "strides do not tell the layout aBcd8b");
  EXPECT_EQ(conv_tensor({DType::f32, {2, 16}}, Layout{}).refusal, "it has 2 axes");
}

class Convolutions {
 public:
  explicit Convolutions(std::int64_t batch) {
    const Value x = graph_.placeholder("x", {DType::f32, {batch, 64, 28, 28}});
    const Value w = graph_.placeholder("w", {DType::f32, {128, 64, 3, 3}});
    Conv2dOptions options;
    options.stride = {2, 2};
    options.padding = {1, 1, 1, 1};
    const Value y = ops::conv2d(x, w, options);
    forward = y.node();
    input_grad = ops::conv2d_input_grad(y, w, x.shape(), options, {}).node();
    weight_grad = ops::conv2d_weight_grad(x, y, w.shape(), options, {}).node();
  }

  const Node* forward = nullptr;
  const Node* input_grad = nullptr;
  const Node* weight_grad = nullptr;

 private:
  Graph graph_;
};

TEST(CudaLibrary, AllThreeDirectionsAreTheSameProblem) {
  const Convolutions net(64);
  for (const auto& [node, kind] : {std::pair{net.forward, ConvKind::forward},
                                   {net.input_grad, ConvKind::input_grad},
                                   {net.weight_grad, ConvKind::weight_grad}}) {
    const ConvProblemResult result = conv_problem(*node);
    ASSERT_TRUE(result.support) << result.support.reason;
    const ConvProblem& problem = result.problem;
    EXPECT_EQ(problem.kind, kind);
    EXPECT_EQ(problem.x.dims, (Four{64, 64, 28, 28}));
    EXPECT_EQ(problem.w.dims, (Four{128, 64, 3, 3}));
    EXPECT_EQ(problem.y.dims, (Four{64, 128, 14, 14}));
    EXPECT_DOUBLE_EQ(problem.flops(), 2.0 * 64 * 128 * 14 * 14 * 64 * 9);
  }
  EXPECT_EQ(conv_problem(*net.forward).problem.text(),
            "conv forward x=f32[64,64,28,28]/50176,784,28,1 w=f32[128,64,3,3]/576,9,3,1 "
            "y=f32[64,128,14,14]/25088,196,14,1 pad=1,1,1,1 stride=2,2 dilation=1,1");
}

/// What the library is asked for a large convolution of bf16 and what follows it, and the rest of
/// the lowered Graph's kernels.
std::string lowered_text(const std::function<Value(Graph&, Value)>& after) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::bf16, {64, 64, 28, 28}});
  const Value w = graph.placeholder("w", {DType::bf16, {128, 64, 3, 3}});
  graph.fetch("y", after(graph, ops::conv2d(x, w)));
  CudaBackend backend(nullptr, GpuFacts{});
  backend.force_form(StepForm::throughput);
  PassContext context(backend);
  const auto low = run_passes(graph, pass_list(), {}, context);
  std::string text;
  for (const auto& node : low->nodes()) {
    if (contraction_of(*node) == nullptr) continue;
    const ConvProblemResult result = conv_problem(*node);
    if (!result.support) return result.support.reason;
    const std::string whole = result.problem.text();
    text += whole.substr(whole.find("dilation="));
    EXPECT_EQ(result.places.workspace, static_cast<int>(node->inputs().size()) + 1);
    EXPECT_EQ(result.places.y, static_cast<int>(node->inputs().size()));
    EXPECT_EQ(result.places.bias >= 0, result.problem.bias);
  }
  return text;
}

TEST(CudaLibrary, ABiasAndAReluBelongToAConvolution) {
  const auto bias = [](Graph& graph, Value y) {
    return ops::add(y, graph.placeholder("bias", {DType::bf16, {1, 128, 1, 1}}), {});
  };
  EXPECT_EQ(lowered_text([](Graph&, Value y) { return y; }), "dilation=1,1");
  EXPECT_EQ(lowered_text(bias), "dilation=1,1 bias:bf16");
  EXPECT_EQ(lowered_text([](Graph&, Value y) { return ops::relu(y, {}); }), "dilation=1,1 relu");
  EXPECT_EQ(lowered_text([&](Graph& g, Value y) { return ops::relu(bias(g, y), {}); }),
            "dilation=1,1 bias:bf16 relu");
}

TEST(CudaLibrary, WhatElseFollowsAConvolutionIsAKernelOfItsOwn) {
  const auto bare = [](const std::function<Value(Graph&, Value)>& after) {
    EXPECT_EQ(lowered_text(after), "dilation=1,1");
  };
  bare([](Graph&, Value y) { return ops::elementwise("tanh", {y}, {}); });
  bare([](Graph& graph, Value y) {
    return ops::add(y, graph.placeholder("row", {DType::bf16, {1, 1, 1, 26}}), {});
  });
}

TEST(CudaLibrary, SmallWorkIsNotForALibrary) {
  EXPECT_TRUE(wants_library(*Convolutions(64).forward));
  const Convolutions small(1);
  EXPECT_EQ(wants_library(*small.forward).reason, "0.03 Gflop are too few for a library");
}

}  // namespace
}  // namespace ingot::cuda
