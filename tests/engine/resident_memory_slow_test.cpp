// Memory does not grow while a net trains; the full test takes 100,000 steps.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "tests/engine/support/resident_memory.h"
#include "tests/engine/support/training.h"

namespace ingot {
namespace {

using testing_support::resident_bytes;

TEST(ResidentMemory, StaysWithinAMebibyte) {
  if (resident_bytes() == 0) GTEST_SKIP() << "needs /proc";
  constexpr int kSteps = 3000;
  testing_support::Training training({.model = "seed-cnn", .batch = 4, .threads = 2});
  training.steps(100);
  const std::int64_t early = resident_bytes();
  training.steps(kSteps - 100);
  const std::int64_t late = resident_bytes();
  fmt::print("resident after step 100: {} KiB, after step {}: {} KiB\n", early >> 10, kSteps,
             late >> 10);
  EXPECT_EQ(training.executable().steps_run(), kSteps);
  EXPECT_LE(late - early, 1 << 20);
}

}  // namespace
}  // namespace ingot
