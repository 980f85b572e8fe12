// A step allocates nothing: operator new, malloc, the pool and the device are counted over 1,000
// steps. What vendor libraries allocate inside their own functions is counted apart, is gone when
// they return, and is printed.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "ingot/base/vendor_call.h"
#include "tests/engine/support/training.h"
#include "tests/support/count_malloc.h"

namespace ingot {
namespace {

using testing_support::count_malloc;
using testing_support::count_new;
using testing_support::MallocCounts;
using testing_support::Training;
using testing_support::TrainingSpec;

class NoAllocation : public testing::TestWithParam<TrainingSpec> {};

TEST_P(NoAllocation, InAThousandSteps) {
  Training training(GetParam());
  training.steps(10);
  // Threads of the pool may only now run for the first time, which allocates in the C library.
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  training.steps(100);
  AllocationStats& stats = training.store().backend()->device()->allocation_stats();
  const AllocationCounts device_before = stats.counts();
  const MallocCounts before = count_malloc();
  const std::uint64_t new_before = count_new();
  bool balanced = true;
  for (int i = 0; i < 1000; ++i) {
    const MallocCounts start = count_malloc();
    training.step();
    const MallocCounts end = count_malloc();
    balanced &= end.vendor - start.vendor == end.vendor_frees - start.vendor_frees;
  }
  const std::uint64_t new_calls = count_new() - new_before;
  const MallocCounts after = count_malloc();
  fmt::print(
      "{}, {} thread(s): 1000 steps, {} operator new, {} malloc, {} allocations in vendor "
      "libraries\n",
      GetParam().model, GetParam().threads, new_calls, after.own - before.own,
      after.vendor - before.vendor);
  EXPECT_EQ(new_calls, 0u);
  EXPECT_EQ(after.own - before.own, 0u);
  EXPECT_TRUE(balanced) << "a vendor library kept memory";
  EXPECT_EQ(stats.counts(), device_before);
  EXPECT_EQ(training.executable().steps_run(), 1110);
}

INSTANTIATE_TEST_SUITE_P(
    Models, NoAllocation,
    testing::Values(TrainingSpec{.model = "seed-cnn", .batch = 4, .size = 8},
                    TrainingSpec{.model = "seed-cnn", .batch = 4, .size = 8, .threads = 2},
                    TrainingSpec{.model = "gometal-cnn", .batch = 2, .size = 8, .threads = 2}),
    [](const auto& info) {
      std::string name(info.param.model);
      std::replace(name.begin(), name.end(), '-', '_');
      return name + "_" + std::to_string(info.param.threads);
    });

// The counters count: what the test above finds to be zero is not zero by itself.
TEST(NoAllocationCounters, TellVendorCallsFromOthers) {
#if INGOT_COUNTS_MALLOC
  const MallocCounts before = count_malloc();
  std::free(std::malloc(100));
  const MallocCounts own = count_malloc();
  EXPECT_EQ(own.own - before.own, 1u);
  EXPECT_EQ(own.vendor, before.vendor);
  {
    const VendorCall call;
    void* volatile block = std::malloc(100);
    EXPECT_EQ(count_malloc().vendor - own.vendor, 1u);
    EXPECT_EQ(count_malloc().vendor_frees, own.vendor_frees);
    std::free(block);
  }
  EXPECT_EQ(count_malloc().vendor_frees - own.vendor_frees, 1u);
  EXPECT_EQ(count_malloc().own, own.own);
#else
  GTEST_SKIP() << "malloc cannot be counted here";
#endif
}

}  // namespace
}  // namespace ingot
