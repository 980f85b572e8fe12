#include "tests/engine/support/resident_memory.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/engine/support/training.h"
#include "tests/support/sanitized.h"

namespace ingot::testing_support {
namespace {

constexpr int kWarmUp = 100;

/// Bytes; 0 where /proc does not say.
std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t total = 0;
  std::int64_t resident = 0;
  if (!(statm >> total >> resident)) return 0;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace

void expect_steady_memory(int steps, std::int64_t batch) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own memory grows with the steps";
  if (resident_bytes() == 0) GTEST_SKIP() << "needs /proc";
  Training training({.model = "seed-cnn", .batch = batch, .threads = 2});
  training.steps(kWarmUp);
  const std::int64_t early = resident_bytes();
  training.steps(steps - kWarmUp);
  const std::int64_t late = resident_bytes();
  fmt::print("resident after step {}: {} KiB, after step {}: {} KiB\n", kWarmUp, early >> 10, steps,
             late >> 10);
  EXPECT_EQ(training.executable().steps_run(), steps);
  EXPECT_LE(late - early, 1 << 20);
}

}  // namespace ingot::testing_support
