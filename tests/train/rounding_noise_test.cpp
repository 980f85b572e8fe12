#include "ingot/train/rounding_noise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "ingot/base/philox.h"
#include "ingot/engine/compile.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "ingot/runtime/backend.h"
#include "ingot/train/step_check.h"

namespace ingot::train {
namespace {

constexpr std::int64_t kTerms = 256;

/// Fetches of one op each on f32[64,256]: a square, a product of matrices, a cast, a copy, labels.
Graph some_ops(const char* math) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {64, kTerms}});
  // Without a diagonal of squares, whose errors are smaller.
  const Value y = graph.placeholder("y", {DType::f32, {64, kTerms}});
  graph.fetch("square", x * x);
  graph.fetch("product", ops::matmul(x, y, {.transpose_b = true, .math = math}));
  graph.fetch("bf16", ops::cast(ops::cast(x, DType::bf16), DType::f32));
  graph.fetch("reshaped", ops::reshape(x, {kTerms, 64}));
  graph.fetch("largest", ops::argmax(x, 0));
  return graph;
}

class RoundingNoise : public testing::Test {
 protected:
  /// How far noise takes a fetch in the step, relatively.
  double distance(const char* fetch, int step = 0, const char* math = "f32") {
    const Graph graph = some_ops(math);
    const std::unique_ptr<Graph> noisy = with_rounding_noise(graph);
    VariableStore exact_store(make_backend("reference"), 1);
    VariableStore noisy_store(make_backend("cpu"), 1);
    Executable exact = compile(graph, exact_store);
    Executable moved = compile(*noisy, noisy_store);
    std::vector<float> x(2 * 64 * kTerms);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = philox_uniform(3, 0, 0, i) - 0.5f;
    const std::size_t bytes = x.size() / 2 * sizeof(float);
    const std::vector<Feed> feeds{{"x", x.data(), bytes}, {"y", x.data() + x.size() / 2, bytes}};
    exact.run(feeds);
    for (int i = 0; i <= step; ++i) moved.run(feeds);
    return relative_distance(moved.fetched(fetch), exact.fetched(fetch));
  }
};

// Uniform errors up to u have a square root of their mean square of u / sqrt(3).
TEST_F(RoundingNoise, IsWhatTheDtypeRoundsBy) {
  // Its own rounding adds to it.
  EXPECT_GT(distance("square"), 0.5 * 0x1p-24);
  EXPECT_LT(distance("square"), 1.0 * 0x1p-24);
  EXPECT_GT(distance("bf16"), 0.2 * 0x1p-8);
  EXPECT_LT(distance("bf16"), 1.0 * 0x1p-8);
}

TEST_F(RoundingNoise, OfASumGrowsWithTheRootOfItsTerms) {
  // Two operands of sqrt(256) roundoffs.
  const double two = std::sqrt(2.0 / 3.0);
  EXPECT_NEAR(distance("product"), two * 16 * 0x1p-24, 0.5 * two * 16 * 0x1p-24);
  EXPECT_NEAR(distance("product", 0, "tf32"), two * 0x1p-11, 0.5 * two * 0x1p-11);
}

TEST_F(RoundingNoise, LeavesWhatIsExact) {
  EXPECT_EQ(distance("reshaped"), 0);
  EXPECT_EQ(distance("largest"), 0);
}

TEST_F(RoundingNoise, DiffersFromStepToStepAlone) {
  EXPECT_EQ(distance("square", 1), distance("square", 1));
  EXPECT_NE(distance("square", 1), distance("square", 0));
}

}  // namespace
}  // namespace ingot::train
