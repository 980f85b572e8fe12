// A step that does not fit on a GPU: what is asked for, and what for. On a real one or on the
// emulated one (tests/emulator); skips without either.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/engine/compile.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "tests/support/gpu_test.h"

namespace ingot {
namespace {

class GpuOutOfMemory : public testing_support::GpuTest {};

/// The sum of products of all pairs of rows, which are all kept for their squares.
Graph pairs(std::int64_t rows) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {rows, 4}});
  const Value products = ops::matmul(x, x, {.transpose_b = true});
  graph.fetch("sum", ops::sum(products, {}));
  graph.fetch("largest", ops::reduce_max(products, {}));
  return graph;
}

TEST_F(GpuOutOfMemory, NamesTheLargestOwnersOfThePlan) {
  // 256 GiB of products.
  constexpr std::int64_t kRows = std::int64_t{1} << 18;
  const Graph graph = pairs(kRows);
  const MemoryInfo memory = backend_->device()->memory_info();
  ASSERT_LT(memory.total_bytes, 4u * kRows * kRows) << "a GPU with room for this";
  VariableStore store(backend_, 1);
  try {
    (void)compile(graph, store);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::user);
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    const std::string owner = fmt::format(
        "note: \"matmul_0\" takes {} bytes when the arena is fullest", 4 * kRows * kRows);
    const std::string text = error.what();
    EXPECT_NE(text.find("\n" + owner + "\n"), std::string::npos) << text;
    // A real GPU's workspaces are others.
    if (!testing_support::is_emulated(*backend_)) return;
    EXPECT_EQ(
        text,
        fmt::format("buffer \"scratch arena\": needs {} bytes on device \"cuda:0\", got {} free "
                    "of {}\n{}\n"
                    "note: \"sum_0.fused (workspace)\" takes 2560 bytes when the arena is "
                    "fullest\n"
                    "note: \"sum_0.fused\" takes 512 bytes when the arena is fullest",
                    4 * kRows * kRows + 2560 + 512, memory.free_bytes, memory.total_bytes, owner));
  }
}

TEST_F(GpuOutOfMemory, LeavesTheDeviceFit) {
  const AllocationCounts before = backend_->device()->allocation_stats().counts();
  {
    const Graph large = pairs(std::int64_t{1} << 18);
    VariableStore store(backend_, 1);
    EXPECT_THROW((void)compile(large, store), Error);
  }
  EXPECT_EQ(backend_->device()->allocation_stats().counts(), before);
  const Graph small = pairs(8);
  VariableStore store(backend_, 1);
  Executable exe = compile(small, store);
  const std::vector<float> ones(8 * 4, 1);
  exe.run({{"x", ones.data(), ones.size() * sizeof(float)}});
  exe.wait();
  EXPECT_EQ(exe.fetched("sum").view().get(0), 8 * 8 * 4);
}

}  // namespace
}  // namespace ingot
