// What is said when a kernel fails on the device, on the emulated GPU (tests/emulator), which fails
// on demand and tells the next call; skips elsewhere. A failed device stays so: each test is a
// process of its own.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/base/trace.h"
#include "ingot/engine/compile.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "tests/support/gpu_test.h"

namespace ingot {
namespace {

class GpuFailures : public testing_support::GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (backend_ == nullptr) return;
    if (!testing_support::is_emulated(*backend_)) GTEST_SKIP() << "needs the emulated GPU";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }

  /// Two kernels, of which `kernel` fails; ends the process with what the step said on stderr.
  [[noreturn]] void step(const char* kernel) {
    setenv("INGOT_EMULATOR_FAIL", kernel, 1);
    Graph graph;
    const Value x = graph.placeholder("x", {DType::f32, {8, 8}});
    const Value product = ops::matmul(x, x);
    graph.fetch("largest", ops::reduce_max(ops::matmul(product, x), {}));
    VariableStore store(make_backend("cuda"), 1);
    Executable exe = compile(graph, store);
    const std::vector<float> data(64, 0.5F);
    try {
      exe.step(std::vector<Feed>{{"x", data.data(), data.size() * sizeof(float)}});
      exe.wait();
    } catch (const Error& error) {
      std::fprintf(stderr, "%s: %s\n", error.kind() == ErrorKind::internal ? "internal" : "user",
                   error.what());
      std::exit(0);
    }
    std::exit(1);
  }
};

TEST_F(GpuFailures, SayHowToFindTheOp) {
  EXPECT_EXIT(
      step("step_kernel"), testing::ExitedWithCode(0),
      "internal: cuda: recording an event must succeed, got CUDA_ERROR_ILLEGAL_ADDRESS "
      "\\(.*\\)\nhelp: a kernel failed: INGOT_TRACE=launches awaits each, so that the error "
      "names its op\n$");
}

TEST_F(GpuFailures, NameTheOpWhereLaunchesAreTraced) {
  const TraceCapture trace("launches");
  EXPECT_EXIT(step("kernel_1"), testing::ExitedWithCode(0),
              "internal: cuda: running matmul \"matmul_1\" must succeed, got "
              "CUDA_ERROR_ILLEGAL_ADDRESS \\(.*\\)\n$");
}

}  // namespace
}  // namespace ingot
