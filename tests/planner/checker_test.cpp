#include "ingot/planner/checker.h"

#include <gtest/gtest.h>

#include "tests/planner/support/requests.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using testing_support::error_of;
using testing_support::random_request;

using Lines = std::vector<std::string>;

TEST(Checker, FindsAnOverlap) {
  const PlanRequest request{{{128, 0, 2, "a"}, {64, 1, 1, "b"}, {64, 3, 3, "c"}}};
  EXPECT_EQ(check_plan(request, {{0, 64, 0}, 192, 192}),
            (Lines{"buffer 1 \"b\" at [64,128) in [1,1] overlaps buffer 0 \"a\" at [0,128) in "
                   "[0,2]"}));
  EXPECT_TRUE(check_plan(request, {{0, 128, 0}, 192, 192}).empty());
}

TEST(Checker, FindsAnOverlapAtOneMoment) {
  // Written by the kernel that last reads the other: in place without permission.
  const PlanRequest request{{{64, 0, 1, "a"}, {64, 1, 2, "b"}}};
  EXPECT_EQ(check_plan(request, {{0, 0}, 64, 64}).size(), 1u);
}

TEST(Checker, FindsAnOverlapBehindASmallSharer) {
  const PlanRequest request{{{256, 0, 5, "a"}, {64, 1, 5, "view", 0}, {64, 2, 3, "b"}}};
  EXPECT_EQ(check_plan(request, {{0, 0, 128}, 256, 256}).size(), 1u);
}

TEST(Checker, FindsOffsetsOutsideTheArenaAndUnaligned) {
  const PlanRequest request{{{64, 0, 0, "a"}, {64, 1, 1, "b"}}};
  EXPECT_EQ(check_plan(request, {{32, 64}, 100, 64}),
            (Lines{"buffer 0 \"a\" at [32,96) in [0,0] is not aligned to 64",
                   "buffer 1 \"b\" at [64,128) in [1,1] leaves the arena of 100"}));
  EXPECT_EQ(check_plan(request, {{0}, 64, 64}), (Lines{"plan has 1 offsets for 2 buffers"}));
}

TEST(Checker, FindsWrongSharing) {
  const PlanRequest moved{{{64, 0, 2, "a"}, {64, 1, 3, "b", 0}}};
  EXPECT_EQ(
      check_plan(moved, {{0, 64}, 128, 64}),
      (Lines{"buffer 1 \"b\" at [64,128) in [1,3] does not lie where it shares memory: buffer "
             "0 \"a\" at [0,64) in [0,2]"}));
  const PlanRequest dead{{{64, 0, 1, "a"}, {64, 3, 4, "b", 0}}};
  EXPECT_EQ(check_plan(dead, {{0, 0}, 64, 64}),
            (Lines{"buffer 1 \"b\" at [0,64) in [3,4] shares memory that is not live"}));
}

TEST(Checker, FindsPlantedViolationsInRandomPlans) {
  int planted = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    const PlanRequest request = random_request(seed, 60);
    Plan plan = make_plan(request);
    // Two buffers of different owners of memory, alive together, moved onto each other.
    for (std::size_t i = 1; i < request.buffers.size(); ++i) {
      const BufferRequest& a = request.buffers[i - 1];
      const BufferRequest& b = request.buffers[i];
      if (a.bytes == 0 || b.bytes == 0 || a.alias_of >= 0 || b.alias_of >= 0) continue;
      if (a.last_use < b.first_use || plan.offsets[i] == plan.offsets[i - 1]) continue;
      plan.offsets[i] = plan.offsets[i - 1];
      ++planted;
      EXPECT_FALSE(check_plan(request, plan).empty()) << "seed " << seed << " buffer " << i;
      break;
    }
  }
  EXPECT_GT(planted, 50);
}

TEST(Checker, ThrowsTheFirstViolation) {
  const PlanRequest request{{{64, 0, 0, "a"}}};
  const std::string text = error_of([&] { verify_plan(request, {{0}, 32, 64}); });
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "plan: must be sound, got buffer 0 \"a\" at [0,64) in [0,0] leaves the arena of 32");
  verify_plan(request, {{0}, 64, 64});
}

}  // namespace
}  // namespace ingot
