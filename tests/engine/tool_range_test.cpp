// Ranges for tools that listen through NVTX. With a tool (tests/nvtx_tool, named by
// NVTX_INJECTION64_PATH) what it hears is checked, without one that nobody pays.
#include "ingot/base/tool_range.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "ingot/engine/compile.h"
#include "tests/passes/support/resnet.h"
#include "tests/support/gpu_test.h"

namespace ingot {
namespace {

const char* tool_path() { return std::getenv("NVTX_INJECTION64_PATH"); }

std::string heard() {
  void* const tool = dlopen(tool_path(), RTLD_NOW);
  if (tool == nullptr) return "no tool";
  const auto log = reinterpret_cast<const char* (*)()>(dlsym(tool, "ingot_nvtx_tool_log"));
  return log == nullptr ? "no log" : log();
}

TEST(ToolRange, CostsNothingWithoutATool) {
  if (tool_path() != nullptr) GTEST_SKIP() << "a tool listens";
  {
    const ToolRange first("the first call looks for a tool");
  }
  constexpr int kRanges = 100000;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kRanges; ++i) const ToolRange range("range");
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  // A step of the smallest net takes 15 microseconds; sanitizers and busy machines are slow.
  EXPECT_LT(took.count() / kRanges, 1e-6);
}

TEST(ToolRange, NestsAsScopesDo) {
  if (tool_path() == nullptr) GTEST_SKIP() << "no tool listens";
  const std::string before = heard();
  {
    const ToolRange outer("outer");
    const ToolRange inner("inner");
  }
  EXPECT_EQ(heard(), before + "(outer(inner))");
}

class ToolRanges : public testing_support::GpuTest {};

TEST_F(ToolRanges, ShowCompilationCaptureAndSteps) {
  if (tool_path() == nullptr) GTEST_SKIP() << "no tool listens";
  constexpr std::int64_t kBatch = 2;
  constexpr std::int64_t kSide = 8;
  testing_support::ResNet18 net(kBatch, 4, kSide);
  const std::vector<float> image(2 * kBatch * 3 * kSide * kSide, 0.25F);
  const std::vector<std::int32_t> label(2 * kBatch, 1);
  const std::vector<Feed> feeds{{"input", image.data(), image.size() * sizeof(float)},
                                {"labels", label.data(), label.size() * sizeof(std::int32_t)}};
  VariableStore store(backend_, 1);
  const std::string before = heard();
  Executable exe = compile(net.graph, store);
  ASSERT_GT(exe.stats().device_nodes, 1);
  exe.step(feeds);
  exe.step(feeds);
  exe.run_steps(2, feeds);
  exe.wait();
  EXPECT_EQ(heard(),
            before + "(ingot compile)(ingot step(ingot capture))(ingot step)(ingot steps)");
}

}  // namespace
}  // namespace ingot
