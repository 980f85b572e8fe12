#include "ingot/planner/plan.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "ingot/planner/checker.h"
#include "ingot/planner/report.h"
#include "tests/planner/support/requests.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using testing_support::error_of;
using testing_support::random_request;
using testing_support::training_request;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

TEST(Plan, OfNothingIsEmpty) {
  const Plan plan = make_plan({});
  EXPECT_TRUE(plan.offsets.empty());
  EXPECT_EQ(plan.arena_bytes, 0);
  EXPECT_EQ(plan.live_peak_bytes, 0);
}

TEST(Plan, ReusesMemoryOfDeadBuffers) {
  const PlanRequest request{{{100, 0, 1, "a"}, {100, 1, 2, "b"}, {100, 2, 3, "c"}}};
  const Plan plan = make_plan(request);
  EXPECT_EQ(plan.arena_bytes, 256);
  EXPECT_EQ(plan.live_peak_bytes, 256);
  EXPECT_EQ(plan.offsets[0], plan.offsets[2]);
  EXPECT_NE(plan.offsets[0], plan.offsets[1]);
}

TEST(Plan, SharesMemoryOfAliases) {
  const PlanRequest request{
      {{128, 0, 1, "x"}, {128, 1, 4, "relu", 0}, {64, 2, 3, "other"}, {64, 4, 6, "view", 1}}};
  const Plan plan = make_plan(request);
  EXPECT_EQ(plan.offsets[1], plan.offsets[0]);
  EXPECT_EQ(plan.offsets[3], plan.offsets[0]);
  EXPECT_EQ(plan.arena_bytes, 192);
  EXPECT_TRUE(check_plan(request, plan).empty());
}

TEST(Plan, GivesBuffersWithoutBytesNoPlace) {
  const PlanRequest request{{{0, 0, 9, "empty"}, {64, 0, 9, "x"}}};
  const Plan plan = make_plan(request);
  EXPECT_EQ(plan.arena_bytes, 64);
  EXPECT_TRUE(check_plan(request, plan).empty());
}

TEST(Plan, RefusesMalformedRequests) {
  const auto message = [](PlanRequest request) {
    return first_line(error_of([&] { make_plan(request); }));
  };
  EXPECT_EQ(message({{{-1, 0, 0, "x"}}}), "plan \"x\": bytes must not be negative, got -1");
  EXPECT_EQ(message({{{8, 3, 2, "x"}}}),
            "plan \"x\": last use must not precede the first, got 3 to 2");
  EXPECT_EQ(message({{{8, 0, 2, "x", 0}}}),
            "plan \"x\": alias must be of an earlier buffer, got 0 in buffer 0");
  EXPECT_EQ(message({{}, 48}), "plan: alignment must be a power of two, got 48");
}

TEST(Plan, OfRandomRequestsIsSound) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    const PlanRequest request = random_request(seed, 1 + seed % 120);
    const Plan plan = make_plan(request);
    const std::vector<std::string> violations = check_plan(request, plan);
    ASSERT_TRUE(violations.empty()) << "seed " << seed << ": " << violations.front();
    ASSERT_GE(plan.arena_bytes, plan.live_peak_bytes);
    ASSERT_EQ(make_plan(request).offsets, plan.offsets);
  }
}

TEST(Plan, OfTrainingStepsIsWithinATenthOfTheLiveBytes) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    const PlanRequest request = training_request(seed, 20 + 10 * static_cast<int>(seed));
    const Plan plan = make_plan(request);
    ASSERT_TRUE(check_plan(request, plan).empty());
    EXPECT_LE(static_cast<double>(plan.arena_bytes),
              1.10 * static_cast<double>(plan.live_peak_bytes))
        << "seed " << seed;
  }
}

// Processor time with a wide margin: it catches a quadratic planner, not a busy machine.
TEST(Plan, OfFiftyThousandBuffersIsNotQuadratic) {
  for (const PlanRequest& request :
       {random_request(1, 50000), training_request(2, 12500), training_request(3, 3000)}) {
    const std::clock_t start = std::clock();
    const Plan plan = make_plan(request);
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    EXPECT_LT(seconds, 30.0) << request.buffers.size();
    EXPECT_TRUE(check_plan(request, plan).empty());
    EXPECT_LE(static_cast<double>(plan.arena_bytes),
              1.10 * static_cast<double>(plan.live_peak_bytes));
  }
}

TEST(Report, NamesTheLargestOwnersAtThePeak) {
  const PlanRequest request{{{64, 0, 9, "weights"},
                             {640, 0, 2, "early"},
                             {512, 3, 6, "conv1"},
                             {256, 4, 5, "conv2"},
                             {256, 5, 5, "conv2", 3},
                             {512, 4, 4, "conv2"}}};
  const std::vector<OwnerBytes> expected{{"conv2", 768}, {"conv1", 512}, {"weights", 64}};
  EXPECT_EQ(largest_owners(request), expected);
  EXPECT_EQ(largest_owners(request, 1), (std::vector<OwnerBytes>{{"conv2", 768}}));
}

}  // namespace
}  // namespace ingot
