#include "ingot/base/error.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace ingot {
namespace {

TEST(Error, WhatHasNotesAndHelpAfterTheMessage) {
  Error error = user_error(ErrorCode::invalid_shape, "add \"x\": ranks must agree, got 2 and 3");
  EXPECT_EQ(error.kind(), ErrorKind::user);
  EXPECT_EQ(error.code(), ErrorCode::invalid_shape);
  EXPECT_STREQ(error.what(), "add \"x\": ranks must agree, got 2 and 3");
  error.note("made at train.cpp:12 in main").help("reshape the second operand");
  EXPECT_EQ(error.message(), "add \"x\": ranks must agree, got 2 and 3");
  EXPECT_STREQ(error.what(),
               "add \"x\": ranks must agree, got 2 and 3\n"
               "note: made at train.cpp:12 in main\n"
               "help: reshape the second operand");
}

TEST(Error, KindsFollowTheFactory) {
  const Error unsupported = unsupported_error("conv3d: must be 1-d or 2-d, got 3-d");
  EXPECT_EQ(unsupported.kind(), ErrorKind::unsupported);
  EXPECT_EQ(unsupported.code(), ErrorCode::unsupported);
  const Error internal = internal_error("plan: offsets must not overlap, got 0 and 0");
  EXPECT_EQ(internal.kind(), ErrorKind::internal);
  EXPECT_EQ(internal.code(), ErrorCode::internal);
  EXPECT_STREQ(internal.what(),
               "plan: offsets must not overlap, got 0 and 0\n"
               "help: this is a bug in Ingot; please report it with the graph that caused it");
}

TEST(ClosestNames, SortsByDistanceThenNameAndKeepsThree) {
  const std::vector<std::string> names{"conv2d", "conv2d_grad", "relu", "gelu", "elu", "selu"};
  EXPECT_EQ(closest_names("conv2", names), "\"conv2d\"");
  EXPECT_EQ(closest_names("rel", names), "\"relu\", \"elu\", \"gelu\"");
  EXPECT_EQ(closest_names("batch_norm", names), "");
  EXPECT_EQ(closest_names("x", std::vector<std::string>{}), "");
  EXPECT_EQ(closest_names("relu", names), "\"relu\", \"elu\", \"gelu\"");
}

TEST(ClosestNames, LongNamesMayDifferByAThird) {
  const std::array<std::string, 1> names{"learning_rate_schedule"};
  EXPECT_EQ(closest_names("lerning_rate_shedul", names), "\"learning_rate_schedule\"");
  EXPECT_EQ(closest_names("schedule", names), "");
}

}  // namespace
}  // namespace ingot
