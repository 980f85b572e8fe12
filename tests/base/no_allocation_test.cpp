// What runs in every step must not allocate.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "ingot/base/step_error.h"
#include "ingot/base/thread_pool.h"
#include "ingot/base/trace.h"
#include "tests/support/count_new.h"

namespace ingot {
namespace {

using testing_support::count_new;

TEST(NoAllocation, TheCounterCounts) {
  if (testing_support::kSanitized) GTEST_SKIP() << "sanitizers have operators of their own";
  const std::uint64_t before = count_new();
  const auto one = std::make_unique<std::atomic<int>>(1);
  EXPECT_EQ(count_new() - before, 1u);
  EXPECT_EQ(*one, 1);
}

TEST(NoAllocation, Dispatch) {
  ThreadPool pool(2);
  StepErrorLatch latch;
  std::atomic<std::int64_t> sum{0};
  const auto step = [&] {
    pool.parallel_for(16, [&](std::int64_t task, int) {
      sum += task;
      if (trace_enabled(Channel::kernels)) trace(Channel::kernels, "never");
      latch.latch(1, 0, task, task);
    });
    latch.reset();
  };
  step();
  const std::uint64_t before = count_new();
  for (int i = 0; i < 1000; ++i) step();
  EXPECT_EQ(count_new(), before);
  EXPECT_EQ(sum, 1001 * 120);
}

}  // namespace
}  // namespace ingot
