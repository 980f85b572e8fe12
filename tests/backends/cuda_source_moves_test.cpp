// Chains of ops that move elements become one kernel in steps bound by throughput.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/cuda_source_throughput.h"

namespace ingot {
namespace {

using testing_support::eighths;
using testing_support::throughput_kernels;

HostTensor filled(const Shape& shape, std::uint32_t stream) {
  HostTensor tensor({DType::f32, shape});
  const std::vector<float> values = eighths(shape.numel(), stream);
  for (std::size_t i = 0; i < values.size(); ++i) {
    tensor.view().set(static_cast<std::int64_t>(i), values[i]);
  }
  return tensor;
}

/// A strided convolution over a few channels of a feed: its blocks of pixels become channels.
Graph stem(bool normalised) {
  Graph graph;
  Value x = graph.placeholder("x", {normalised ? DType::u8 : DType::f32, {2, 3, 8, 12}}, {});
  if (normalised) {
    const Value scale = graph.constant(filled({3, 1, 1}, 3), {});
    x = ops::cast(x, DType::f32, {}) * scale + graph.constant(filled({3, 1, 1}, 4), {});
  }
  const Value w = graph.constant(filled({16, 3, 7, 7}, 2), {});
  const Value y = ops::conv2d(ops::cast(x, DType::bf16, {}), ops::cast(w, DType::bf16, {}),
                              {.stride = {2, 2}, .padding = {3, 3, 3, 3}}, {});
  graph.fetch("y", ops::cast(y, DType::f32, {}));
  return graph;
}

/// Axes joined and split where no vector fits, some elements dropped and others made up.
Graph plain_chain() {
  Graph graph;
  Value x = graph.placeholder("x", {DType::f32, {3, 5, 14}}, {}) * 2.0;
  x = ops::transpose(ops::reshape(x, {15, 7, 2}, {}), {2, 0, 1}, {});
  x = ops::slice(x, {0, 1, 0}, {2, 15, 7}, {1, 3, 2}, {});
  x = ops::pad(x, {{1, 0, 2}, {0, 1, 0}, {0, 1, 0}}, 0.5, {});
  graph.fetch("y", ops::reshape(x, {3, 60}, {}));
  return graph;
}

/// Of 16-bit elements, with more behind the moves.
Graph narrow_chain() {
  Graph graph;
  Value x = ops::cast(graph.placeholder("x", {DType::f32, {4, 6, 16}}, {}), DType::bf16, {});
  x = ops::reshape(ops::transpose(ops::reshape(x, {4, 2, 3, 16}, {}), {1, 3, 0, 2}, {}), {32, 12},
                   {});
  x = ops::transpose(x, {1, 0}, {});
  graph.fetch("y", ops::cast(x, DType::f32, {}));
  return graph;
}

TEST(CudaMoves, AFeedIsConvertedAndGatheredAtOnce) {
  for (const bool normalised : {false, true}) {
    SCOPED_TRACE(normalised);
    const std::vector<std::string> kernels = throughput_kernels(stem(normalised));
    // Images and weights, both in blocks of pixels as the convolution reads them.
    EXPECT_EQ(std::ranges::count(kernels, "gather map of fused"), 2);
    const auto convolution = std::ranges::find(kernels, "mma of conv2d");
    ASSERT_NE(convolution, kernels.end());
    EXPECT_EQ(convolution - kernels.begin(), 2);
  }
}

TEST(CudaMoves, AChainIsOneKernel) {
  EXPECT_EQ(throughput_kernels(plain_chain()), std::vector<std::string>{"gather map of fused"});
  EXPECT_EQ(throughput_kernels(narrow_chain()).front(), "gather map of fused");
}

TEST(CudaMoves, AMoveAloneAndAViewStayAsTheyAre) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {4, 6}}, {});
  graph.fetch("moved", ops::transpose(x, {1, 0}, {}));
  graph.fetch("viewed", ops::reshape(x * 2.0, {24}, {}));
  for (const std::string& kernel : throughput_kernels(graph)) {
    EXPECT_EQ(kernel.find("gather map"), std::string::npos) << kernel;
  }
}

TEST(CudaMoves, GiveWhatTheReferenceGives) {
  const auto backend = testing_support::throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "without a GPU";
  std::vector<Graph> graphs;
  graphs.push_back(stem(false));
  graphs.push_back(stem(true));
  graphs.push_back(plain_chain());
  graphs.push_back(narrow_chain());
  for (const Graph& graph : graphs) {
    SCOPED_TRACE(graph.fetches().front().value.type().to_string());
    const TensorType type = graph.nodes().front()->output_type();
    const std::vector<float> x = eighths(type.numel(), 1);
    std::vector<std::uint8_t> bytes(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i % 251);
    const void* data = x.data();
    if (type.dtype == DType::u8) data = bytes.data();
    const std::vector<Feed> feeds{{"x", data, static_cast<std::size_t>(type.bytes())}};
    testing_support::expect_reference_values(backend, graph, feeds);
  }
}

}  // namespace
}  // namespace ingot
