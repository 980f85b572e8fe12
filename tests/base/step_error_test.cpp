#include "ingot/base/step_error.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "ingot/base/thread_pool.h"

namespace ingot {
namespace {

TEST(StepErrorLatch, StartsEmptyAndResets) {
  StepErrorLatch latch;
  EXPECT_FALSE(latch.set());
  EXPECT_EQ(latch.error(), StepError{});
  latch.latch(4, 1, -7, 100);
  EXPECT_TRUE(latch.set());
  EXPECT_EQ(latch.error(), (StepError{4, 1, -7, 100}));
  latch.reset();
  EXPECT_FALSE(latch.set());
  EXPECT_EQ(latch.error(), StepError{});
}

TEST(StepErrorLatch, LowestNodeThenLowestIndexWins) {
  StepErrorLatch latch;
  latch.latch(4, 1, 10, 100);
  latch.latch(5, 0, 11, 0);
  EXPECT_EQ(latch.error(), (StepError{4, 1, 10, 100}));
  latch.latch(4, 2, 12, 99);
  EXPECT_EQ(latch.error(), (StepError{4, 2, 12, 99}));
  latch.latch(4, 1, 13, 101);
  EXPECT_EQ(latch.error(), (StepError{4, 2, 12, 99}));
  latch.latch(0, 3, 14, 500);
  EXPECT_EQ(latch.error(), (StepError{0, 3, 14, 500}));
}

TEST(StepErrorLatch, ThreadTimingDoesNotMatter) {
  ThreadPool pool(4);
  for (int round = 0; round < 200; ++round) {
    StepErrorLatch latch;
    pool.parallel_for(64, [&](std::int64_t task, int) {
      const std::int64_t scrambled = task * 37 % 64;  // a permutation of 0...63
      latch.latch(static_cast<std::int32_t>(3 + scrambled % 8), 1, scrambled, 1000 - scrambled);
    });
    // Node 3 has elements 0, 8 ... 56; the last of them has the lowest index.
    ASSERT_EQ(latch.error(), (StepError{3, 1, 56, 944}));
  }
}

}  // namespace
}  // namespace ingot
