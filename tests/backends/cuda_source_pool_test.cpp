// Pools of steps bound by throughput, on channels that lie next to each other. What runs them is a
// GPU, real or emulated; without one the tests skip.
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "ingot/ops/ops.h"
#include "tests/backends/support/cuda_source_throughput.h"

namespace ingot {
namespace {

struct Problem {
  std::string name;
  Shape image;
  MaxPool2dOptions options;
};

std::vector<Problem> problems() {
  return {
      {"stem", {2, 16, 9, 13}, {.kernel = {3, 3}, .stride = {{2, 2}}, .padding = {1, 1, 1, 1}}},
      {"apart", {2, 8, 8, 6}, {.kernel = {2, 2}, .stride = {{2, 2}}}},
      {"dense", {1, 24, 7, 7}, {.kernel = {3, 3}, .stride = {{1, 1}}, .padding = {1, 1, 1, 1}}},
      {"rest unread", {2, 8, 11, 14}, {.kernel = {2, 2}, .stride = {{3, 4}}}},
      {"strides", {1, 8, 14, 9}, {.kernel = {5, 4}, .stride = {{3, 1}}, .padding = {2, 0, 1, 2}}},
      {"dilated", {1, 8, 10, 12}, {.kernel = {2, 3}, .stride = {{1, 2}}, .dilation = {3, 2}}},
      {"wide", {1, 8, 12, 17}, {.kernel = {1, 11}, .stride = {{1, 2}}, .padding = {0, 0, 5, 5}}},
      {"many taps",
       {1, 8, 20, 21},
       {.kernel = {17, 17}, .stride = {{2, 3}}, .padding = {8, 8, 8, 8}}},
      {"several tiles",
       {2, 72, 37, 40},
       {.kernel = {3, 3}, .stride = {{2, 2}}, .padding = {1, 1, 1, 1}}}};
}

/// A convolution that gives what it reads, for the layout that it asks for.
Value pass_through(Value x) {
  const std::int64_t channels = x.shape()[1];
  HostTensor weight({DType::f32, {channels, channels, 1, 1}});
  for (std::int64_t i = 0; i < weight.type().numel(); ++i) {
    weight.view().set(i, i % (channels + 1) == 0 ? 1.0 : 0.0);
  }
  const Value w = ops::cast(x.graph().constant(std::move(weight), {}), DType::bf16, {});
  return ops::conv2d(x, w, {}, {});
}

/// max_pool2d and its gradient between convolutions in bf16.
Graph pool_graph(const Problem& problem) {
  Graph graph;
  const Value x = pass_through(
      ops::cast(graph.placeholder("x", {DType::f32, problem.image}, {}), DType::bf16, {}));
  const Value y = ops::max_pool2d(x, problem.options, {});
  const Value g =
      pass_through(ops::cast(graph.placeholder("g", {DType::f32, y.shape()}, {}), DType::bf16, {}));
  const Value dx = ops::max_pool2d_grad(x, y, g, problem.options, {});
  graph.fetch("y", ops::cast(pass_through(y), DType::f32, {}));
  graph.fetch("dx", ops::cast(pass_through(dx), DType::f32, {}));
  return graph;
}

/// avg_pool2d and its gradient in the same place.
Graph average_graph(const Problem& problem, bool count_include_pad) {
  const AvgPool2dOptions options{problem.options.kernel, problem.options.stride,
                                 problem.options.padding, count_include_pad};
  Graph graph;
  const Value x = pass_through(
      ops::cast(graph.placeholder("x", {DType::f32, problem.image}, {}), DType::bf16, {}));
  const Value y = ops::avg_pool2d(x, options, {});
  const Value g =
      pass_through(ops::cast(graph.placeholder("g", {DType::f32, y.shape()}, {}), DType::bf16, {}));
  const Value dx = ops::avg_pool2d_grad(g, problem.image, options, {});
  graph.fetch("y", ops::cast(pass_through(y), DType::f32, {}));
  graph.fetch("dx", ops::cast(pass_through(dx), DType::f32, {}));
  return graph;
}

/// max_pool2d and its gradient of plain images.
Graph plain_graph(const Problem& problem) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, problem.image}, {});
  const Value y = ops::max_pool2d(x, problem.options, {});
  const Value g = graph.placeholder("g", {DType::f32, y.shape()}, {});
  const Value dx = ops::max_pool2d_grad(x, y, g, problem.options, {});
  graph.fetch("y", y);
  graph.fetch("dx", dx);
  return graph;
}

/// Images and gradients, with several maxima in a window, and with whole pixels that are broken.
void expect_values(const std::shared_ptr<cuda::CudaBackend>& backend, const Graph& graph,
                   const Shape& image) {
  for (const bool broken : {false, true}) {
    SCOPED_TRACE(broken ? "with NaN" : "finite");
    auto x = testing_support::eighths(image.numel(), 0);
    for (std::size_t i = 0; broken && i < x.size(); ++i) {
      const auto pixels = static_cast<std::size_t>(image[2] * image[3]);
      if (i % pixels % 11 == 3) x[i] = std::numeric_limits<float>::quiet_NaN();
    }
    const auto g = testing_support::eighths(graph.fetches().front().value.type().numel(), 1);
    const std::vector<Feed> feeds{{"x", x.data(), x.size() * sizeof(float)},
                                  {"g", g.data(), g.size() * sizeof(float)}};
    testing_support::expect_reference_values(backend, graph, feeds);
  }
}

class CudaPool : public testing::TestWithParam<Problem> {};

TEST_P(CudaPool, IsReadAndWrittenByVectors) {
  std::vector<std::string> pools;
  for (const std::string& kernel : testing_support::throughput_kernels(pool_graph(GetParam()))) {
    if (kernel.find("pool2d") != std::string::npos) pools.push_back(kernel);
  }
  EXPECT_EQ(pools, (std::vector<std::string>{"vector pool of max_pool2d",
                                             "pool tiles of max_pool2d_grad"}));
}

TEST_P(CudaPool, GivesWhatTheReferenceGives) {
  const auto backend = testing_support::throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "without a GPU";
  expect_values(backend, pool_graph(GetParam()), GetParam().image);
}

TEST_P(CudaPool, PlainImagesAreTakenByPlanes) {
  const bool gaps = GetParam().options.dilation[0] > 1;
  std::string gradient;
  for (const std::string& kernel : testing_support::throughput_kernels(plain_graph(GetParam()))) {
    if (kernel.find("pool2d_grad") != std::string::npos) gradient = kernel;
  }
  EXPECT_EQ(gradient, gaps ? "map of max_pool2d_grad" : "planes of max_pool2d_grad");
  const auto backend = testing_support::throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "without a GPU";
  expect_values(backend, plain_graph(GetParam()), GetParam().image);
}

TEST_P(CudaPool, AveragesAsTheReferenceDoes) {
  const auto backend = testing_support::throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "without a GPU";
  if (GetParam().options.dilation[0] > 1) GTEST_SKIP() << "averages have no dilation";
  for (const bool count_include_pad : {false, true}) {
    SCOPED_TRACE(count_include_pad);
    const Graph graph = average_graph(GetParam(), count_include_pad);
    const auto x = testing_support::eighths(GetParam().image.numel(), 0);
    const auto g = testing_support::eighths(graph.fetches().front().value.type().numel(), 1);
    const std::vector<Feed> feeds{{"x", x.data(), x.size() * sizeof(float)},
                                  {"g", g.data(), g.size() * sizeof(float)}};
    // Means of eighths may lie between two bf16.
    testing_support::expect_reference_values(backend, graph, feeds, 0x1p-8);
  }
}

INSTANTIATE_TEST_SUITE_P(Windows, CudaPool, testing::ValuesIn(problems()), [](const auto& info) {
  std::string name = info.param.name;
  for (char& c : name) c = c == ' ' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace ingot
