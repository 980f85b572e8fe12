// all_finite over so many elements that they are read 16 bytes at a time. Skips without a GPU.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "ingot/engine/compile.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/cuda_source_throughput.h"

namespace ingot {
namespace {

TEST(CudaAllFinite, FindsOneElementAmongAMillion) {
  const auto backend = testing_support::throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "without a GPU";
  // No whole vectors: the last elements of each operand stand by themselves.
  constexpr std::int64_t kWide = 600'003;
  constexpr std::int64_t kNarrow = 500'005;
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {kWide}}, {});
  const Value y = graph.placeholder("y", {DType::f16, {kNarrow}}, {});
  graph.fetch("finite", ops::all_finite(graph, {x, y}, {}));
  VariableStore store(backend, 1);
  Executable exe = compile(graph, store);
  std::vector<float> wide(kWide, 1.5F);
  std::vector<std::uint16_t> narrow(kNarrow, 0x7bff);  // the largest f16
  const auto is_finite = [&] {
    exe.run({{{"x", wide.data(), wide.size() * 4}, {"y", narrow.data(), narrow.size() * 2}}});
    return exe.fetched("finite").view().get(0) != 0;
  };
  EXPECT_TRUE(is_finite());
  for (const std::size_t at :
       {0UL, 299'999UL, static_cast<std::size_t>(kWide) - 4, static_cast<std::size_t>(kWide) - 1}) {
    wide[at] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(is_finite()) << at;
    wide[at] = 1.5F;
  }
  for (const std::size_t at : {1UL, 250'006UL, static_cast<std::size_t>(kNarrow) - 6,
                               static_cast<std::size_t>(kNarrow) - 1}) {
    narrow[at] = 0xfc00;  // -inf
    EXPECT_FALSE(is_finite()) << at;
    narrow[at] = 0x7bff;
  }
  EXPECT_TRUE(is_finite());
}

}  // namespace
}  // namespace ingot
