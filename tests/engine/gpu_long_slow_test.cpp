// Thousands of steps on a GPU: equal to the bit when they are run again, in memory that does not
// grow. For a real one: the emulated one would take hours.
#include <gtest/gtest.h>

#include <string>

#include "tests/engine/support/device_memory.h"
#include "tests/engine/support/training.h"
#include "tests/support/gpu_test.h"

namespace ingot {
namespace {

class GpuLong : public testing_support::GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (backend_ == nullptr) return;
    if (testing_support::is_emulated(*backend_)) GTEST_SKIP() << "takes hours on an emulated GPU";
  }
};

TEST_F(GpuLong, AThousandStepsAreEqualToTheBitWhenRunAgain) {
  for (const char* model : {"seed-cnn", "resnet18-cifar"}) {
    SCOPED_TRACE(model);
    testing_support::Training one({.model = model, .device = "cuda"});
    testing_support::Training two({.model = model, .device = "cuda"});
    one.steps(1000);
    two.steps(1000);
    one.executable().wait();
    two.executable().wait();
    EXPECT_EQ(one.variables(), two.variables());
  }
}

/// In one kernel, as a captured graph, and with kernels that were chosen by timing.
TEST_F(GpuLong, MemoryAfterTenStepsAndAfterThousandsIsAsPlanned) {
  struct Case {
    testing_support::TrainingSpec spec;
    int steps;
  };
  for (const Case& each :
       {Case{{.model = "seed-cnn", .device = "cuda"}, 10'000},
        Case{{.model = "resnet18-cifar", .batch = 2, .size = 8, .device = "cuda"}, 10'000},
        Case{{.model = "resnet18-cifar", .batch = 8, .device = "cuda", .tune = Tune::quick}, 50}}) {
    SCOPED_TRACE(each.spec.model);
    testing_support::Training training(each.spec);
    const std::int64_t planned =
        testing_support::planned_bytes(training.store(), training.executable());
    training.steps(10);
    training.executable().wait();
    const AllocationStats& stats = training.store().backend()->device()->allocation_stats();
    const AllocationCounts counts = stats.counts();
    EXPECT_EQ(testing_support::allocated_bytes(training.store()), planned);
    training.steps(each.steps - 10);
    training.executable().wait();
    EXPECT_EQ(stats.counts(), counts);
    EXPECT_EQ(testing_support::allocated_bytes(training.store()), planned);
  }
}

}  // namespace
}  // namespace ingot
