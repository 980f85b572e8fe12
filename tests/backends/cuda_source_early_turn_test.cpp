// Who may launch grids of waiting blocks early; no GPU is needed to know.
#include <gtest/gtest.h>

#include "ingot/backends/cuda/step/early_turn.h"

namespace ingot::cuda {
namespace {

// NOLINTBEGIN(performance-no-int-to-ptr): handles that are never used
const auto kContext = reinterpret_cast<CUcontext>(0x10);
const auto kOtherContext = reinterpret_cast<CUcontext>(0x20);
const auto kFirst = reinterpret_cast<CUstream>(1);
const auto kSecond = reinterpret_cast<CUstream>(2);
// NOLINTEND(performance-no-int-to-ptr)

/// Whether the stream launches early where those of others have ended or not.
bool is_early(EarlyTurn& turn, CUstream stream, bool others_done) {
  int launches = 0;
  bool early = false;
  turn.launch(
      stream,
      [&](CUstream other) {
        EXPECT_NE(other, stream) << "its own work need not have ended";
        return others_done;
      },
      [&](bool may) {
        ++launches;
        early = may;
      });
  EXPECT_EQ(launches, 1);
  return early;
}

TEST(EarlyTurn, IsOneStreamsUntilItsWorkHasEnded) {
  EarlyTurn turn;
  EXPECT_TRUE(is_early(turn, kFirst, false));
  EXPECT_FALSE(is_early(turn, kSecond, false));
  EXPECT_TRUE(is_early(turn, kFirst, false));
  EXPECT_TRUE(is_early(turn, kSecond, true));
  EXPECT_FALSE(is_early(turn, kFirst, false));
}

TEST(EarlyTurn, IsFreeWhenItIsGivenBack) {
  EarlyTurn turn;
  EXPECT_TRUE(is_early(turn, kFirst, false));
  turn.give_back(kSecond);
  EXPECT_FALSE(is_early(turn, kSecond, false));
  turn.give_back(kFirst);
  EXPECT_TRUE(is_early(turn, kSecond, false));
}

TEST(EarlyTurn, IsOneForAllUsersOfAGpu) {
  const std::shared_ptr<EarlyTurn> turn = EarlyTurn::of(kContext);
  EXPECT_EQ(EarlyTurn::of(kContext), turn);
  EXPECT_NE(EarlyTurn::of(kOtherContext), turn);
}

}  // namespace
}  // namespace ingot::cuda
