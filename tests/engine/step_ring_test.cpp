#include "ingot/engine/step_ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace ingot {
namespace {

/// Steps [begin, end); step s has the values s + 0.25, s + 0.5, ...
void push_steps(StepRing& ring, std::int64_t begin, std::int64_t end) {
  for (std::int64_t step = begin; step < end; ++step) {
    double value = static_cast<double>(step);
    std::ranges::generate(ring.push(step), [&] { return value += 0.25; });
  }
}

/// All unread steps; EXPECTs the values of push_steps.
std::vector<std::int64_t> pop_all(StepRing& ring) {
  std::vector<std::int64_t> steps;
  while (const auto entry = ring.pop()) {
    steps.push_back(entry->step);
    EXPECT_EQ(entry->values.size(), ring.names().size());
    double value = static_cast<double>(entry->step);
    for (const double got : entry->values) EXPECT_EQ(got, value += 0.25);
  }
  return steps;
}

using Steps = std::vector<std::int64_t>;

TEST(StepRing, HandsOutEntriesOnceAndInOrder) {
  StepRing ring({"loss", "accuracy"}, 4);
  EXPECT_FALSE(ring.pop());
  EXPECT_FALSE(ring.newest());
  push_steps(ring, 0, 3);
  ASSERT_TRUE(ring.newest());
  EXPECT_EQ(ring.newest()->step, 2);
  EXPECT_EQ(pop_all(ring), (Steps{0, 1, 2}));
  push_steps(ring, 3, 5);
  EXPECT_EQ(pop_all(ring), (Steps{3, 4}));
  EXPECT_EQ(ring.dropped(), 0);
}

TEST(StepRing, NewestDoesNotCountAsRead) {
  StepRing ring({"loss"}, 4);
  push_steps(ring, 0, 2);
  EXPECT_EQ(ring.newest()->step, 1);
  EXPECT_EQ(pop_all(ring), (Steps{0, 1}));
  ASSERT_TRUE(ring.newest());
  EXPECT_EQ(ring.newest()->values[0], 1.25);
}

TEST(StepRing, OldestUnreadEntriesGiveWayAndAreCounted) {
  StepRing ring({"loss"}, 3);
  push_steps(ring, 0, 3);
  EXPECT_EQ(ring.dropped(), 0);
  push_steps(ring, 3, 8);
  EXPECT_EQ(ring.dropped(), 5);
  EXPECT_EQ(pop_all(ring), (Steps{5, 6, 7}));
  // What was read is not dropped.
  push_steps(ring, 8, 11);
  EXPECT_EQ(ring.dropped(), 5);
  push_steps(ring, 11, 12);
  EXPECT_EQ(ring.dropped(), 6);
  EXPECT_EQ(pop_all(ring), (Steps{9, 10, 11}));
}

TEST(StepRing, AStepMayBeRepeated) {
  StepRing ring({"loss"}, 3);
  push_steps(ring, 0, 2);
  push_steps(ring, 1, 2);
  EXPECT_EQ(pop_all(ring), (Steps{0, 1, 1}));
}

TEST(StepRing, FindsNamesAndNeedsNone) {
  const StepRing ring({"loss", "accuracy"}, 1);
  EXPECT_EQ(ring.index_of("loss"), 0);
  EXPECT_EQ(ring.index_of("accuracy"), 1);
  EXPECT_EQ(ring.index_of("los"), -1);
  StepRing nameless({}, 2);
  push_steps(nameless, 0, 3);
  EXPECT_EQ(nameless.dropped(), 1);
  EXPECT_EQ(pop_all(nameless), (Steps{1, 2}));
}

TEST(StepRing, HoldsAtLeastOneEntry) {
  StepRing ring({"loss"}, 0);
  push_steps(ring, 0, 2);
  EXPECT_EQ(pop_all(ring), (Steps{1}));
}

}  // namespace
}  // namespace ingot
