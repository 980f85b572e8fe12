// Constants of one element that are part of a fused Region, as operands of its first Node.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/cuda_source_throughput.h"

namespace ingot::cuda {
namespace {

/// Noise of a fixed seed that a fused kernel draws and adds.
Graph noise(std::int64_t seed) {
  Graph graph;
  HostTensor exact({DType::i64, {}});
  exact.view().set_int(0, seed);
  const Value x = graph.placeholder("x", {DType::f32, {64, 128}});
  const ops::RandomSource source{graph.constant(std::move(exact)), graph.scalar(7, DType::i64), 3};
  graph.fetch("noisy", ops::rng_uniform(source, {64, 128}, -1.0, 1.0) + x);
  return graph;
}

TEST(CudaConstants, AFusedKernelDrawsWithASeedThatIsOne) {
  const std::vector<std::string> kernels = testing_support::throughput_kernels(noise(5));
  ASSERT_EQ(kernels.size(), 1U);
  EXPECT_NE(kernels.front().find("fused"), std::string::npos) << kernels.front();
}

TEST(CudaConstants, GiveWhatTheReferenceGives) {
  const auto backend = testing_support::throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "without a GPU";
  const std::vector<float> x = testing_support::eighths(64 * 128, 1);
  const std::vector<Feed> feeds{{"x", x.data(), x.size() * sizeof(float)}};
  // A double would round the second, and C++ has no literal for the last.
  for (const std::int64_t seed :
       {std::int64_t{5}, (std::int64_t{1} << 60) + 1, std::numeric_limits<std::int64_t>::min()}) {
    testing_support::expect_reference_values(backend, noise(seed), feeds);
  }
}

}  // namespace
}  // namespace ingot::cuda
