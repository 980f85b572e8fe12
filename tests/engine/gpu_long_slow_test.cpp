// Thousands of steps on a GPU: equal to the bit when they are run again, in memory that does not
// grow. For a real one: the emulated one would take hours.
#include <gtest/gtest.h>

#include <string>

#include "tests/engine/support/training.h"
#include "tests/support/gpu_test.h"

namespace ingot {
namespace {

class GpuLong : public testing_support::GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (backend_ == nullptr) return;
    for (const auto& [what, value] : backend_->facts()) {
      if (what == "gpu" && value == "emulated GPU") {
        GTEST_SKIP() << "takes hours on an emulated GPU";
      }
    }
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

TEST_F(GpuLong, MemoryAfterTenThousandStepsIsThatAfterTen) {
  testing_support::Training training({.model = "seed-cnn", .device = "cuda"});
  training.steps(10);
  training.executable().wait();
  Device& device = *training.store().backend()->device();
  const AllocationCounts counts = device.allocation_stats().counts();
  const std::int64_t bytes = device.allocation_stats().device_bytes.load();
  training.steps(9990);
  training.executable().wait();
  EXPECT_EQ(device.allocation_stats().counts(), counts);
  EXPECT_EQ(device.allocation_stats().device_bytes.load(), bytes);
}

}  // namespace
}  // namespace ingot
