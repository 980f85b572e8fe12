// Who may launch grids of waiting blocks early; no GPU is needed to know.
#include "ingot/backends/cuda/step/early_turn.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>

namespace ingot::cuda {
namespace {

// NOLINTBEGIN(performance-no-int-to-ptr): handles that are never used
const auto kContext = reinterpret_cast<CUcontext>(0x10);
const auto kOtherContext = reinterpret_cast<CUcontext>(0x20);
const auto kA = reinterpret_cast<CUstream>(1);
const auto kB = reinterpret_cast<CUstream>(2);
const auto kC = reinterpret_cast<CUstream>(3);
// NOLINTEND(performance-no-int-to-ptr)

std::string name_of(CUstream stream) { return stream == kA ? "A" : stream == kB ? "B" : "C"; }

/// Streams that are busy from a launch on until the test says that they are done.
struct Streams final : StreamOrder {
  std::set<CUstream> busy;
  std::string log;

  [[nodiscard]] bool is_done(CUstream stream) override { return !busy.contains(stream); }
  void mark(CUstream stream) override { log += "mark " + name_of(stream) + "; "; }
  void wait_for_mark(CUstream stream) override { log += name_of(stream) + " waits; "; }
};

class EarlyTurnTest : public testing::Test {
 protected:
  /// What a launch does, in words.
  std::string launch(CUstream stream, bool wanted = true) {
    streams_.log.clear();
    int launches = 0;
    turn_.launch(stream, wanted, [&](bool early) {
      ++launches;
      streams_.log += early ? "early" : "cooperative";
    });
    EXPECT_EQ(launches, 1);
    streams_.busy.insert(stream);
    return streams_.log;
  }
  void end(CUstream stream) { streams_.busy.erase(stream); }

 private:
  std::unique_ptr<Streams> owned_ = std::make_unique<Streams>();

 protected:
  Streams& streams_ = *owned_;
  EarlyTurn turn_{std::move(owned_)};
};

TEST_F(EarlyTurnTest, IsTheOnlyStreams) {
  EXPECT_EQ(launch(kA), "early");
  EXPECT_EQ(launch(kA), "early");
  EXPECT_EQ(launch(kA, false), "cooperative");
  EXPECT_EQ(launch(kA), "early");
  EXPECT_EQ(turn_.early_launches(), 3u);
}

TEST_F(EarlyTurnTest, PassesToAnotherWhenItsStreamIsDone) {
  EXPECT_EQ(launch(kA), "early");
  end(kA);
  EXPECT_EQ(launch(kB), "early");
  EXPECT_EQ(launch(kA), "mark B; A waits; cooperative");
}

TEST_F(EarlyTurnTest, IsNobodysWhileSeveralAreBusy) {
  EXPECT_EQ(launch(kA), "early");
  EXPECT_EQ(launch(kB), "mark A; B waits; cooperative");
  // What was early may still run, so that others come behind it, too.
  EXPECT_EQ(launch(kC), "C waits; cooperative");
  EXPECT_EQ(launch(kA), "A waits; cooperative");
  end(kB);
  EXPECT_EQ(launch(kA), "A waits; cooperative");
  end(kC);
  EXPECT_EQ(launch(kA), "early");
}

TEST_F(EarlyTurnTest, IsFreeWhenItIsGivenBack) {
  EXPECT_EQ(launch(kA), "early");
  turn_.give_back(kA);
  EXPECT_EQ(launch(kB), "early");
  EXPECT_EQ(launch(kC), "mark B; C waits; cooperative");
  turn_.give_back(kB);
  EXPECT_EQ(launch(kC), "early");
}

TEST(EarlyTurn, IsOneForAllUsersOfAGpu) {
  const std::shared_ptr<EarlyTurn> turn = EarlyTurn::of(kContext);
  EXPECT_EQ(EarlyTurn::of(kContext), turn);
  EXPECT_NE(EarlyTurn::of(kOtherContext), turn);
}

TEST(EarlyTurn, IsNobodysWhileItIsForbidden) {
  const auto turn = std::make_shared<EarlyTurn>(std::make_unique<Streams>());
  bool was_early = false;
  const auto launch = [&] { turn->launch(kA, true, [&](bool early) { was_early = early; }); };
  std::shared_ptr<const void> one = EarlyTurn::forbid(turn);
  std::shared_ptr<const void> two = EarlyTurn::forbid(turn);
  launch();
  EXPECT_FALSE(was_early);
  one.reset();
  launch();
  EXPECT_FALSE(was_early);
  two.reset();
  launch();
  EXPECT_TRUE(was_early);
}

}  // namespace
}  // namespace ingot::cuda
