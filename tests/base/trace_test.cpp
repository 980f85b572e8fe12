#include "ingot/base/trace.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "ingot/base/env.h"
#include "ingot/base/error.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using Lines = std::vector<std::string>;

TEST(Trace, ChannelsHaveTheNamesOfTheTable) {
  EXPECT_EQ(env_variable("INGOT_TRACE").choices.size(), static_cast<std::size_t>(kChannelCount));
  EXPECT_EQ(channel_name(Channel::passes), "passes");
  EXPECT_EQ(channel_name(Channel::regions), "regions");
  EXPECT_EQ(channel_name(Channel::dispatch), "dispatch");
  EXPECT_EQ(channel_name(Channel::numerics), "numerics");
  EXPECT_EQ(channel_name(Channel::memory), "memory");
  EXPECT_EQ(channel_name(Channel::kernels), "kernels");
  EXPECT_EQ(channel_name(Channel::launches), "launches");
}

TEST(Trace, OnlyChannelsThatAreOnAndLinesThatMatch) {
  const TraceCapture capture("passes,kernels:conv");
  EXPECT_TRUE(trace_enabled(Channel::passes));
  EXPECT_TRUE(trace_enabled(Channel::kernels));
  EXPECT_FALSE(trace_enabled(Channel::memory));
  trace(Channel::passes, "fuse 3 ms");
  trace(Channel::kernels, "conv2d 1 ms");
  trace(Channel::kernels, "matmul 1 ms");
  trace(Channel::memory, "nothing");
  EXPECT_EQ(capture.lines(), (Lines{"fuse 3 ms", "conv2d 1 ms"}));
}

TEST(Trace, CaptureRestoresWhatWasBefore) {
  {
    const TraceCapture capture("regions");
    EXPECT_TRUE(trace_enabled(Channel::regions));
    EXPECT_THROW(TraceCapture second("passes"), Error);
  }
  EXPECT_FALSE(trace_enabled(Channel::regions));
}

TEST(Trace, UnknownChannelNamesCandidates) {
  testing_support::expect_user_error(
      ErrorCode::invalid_argument,
      "environment variable \"INGOT_TRACE\": channel must be one of \"passes\", "
      "\"regions\", \"dispatch\", \"numerics\", \"memory\", \"kernels\", \"launches\", got "
      "\"pases\"\n"
      "help: did you mean \"passes\"?",
      [] { const TraceCapture capture("pases"); });
}

TEST(Trace, ThreadsMayTraceTogether) {
  const TraceCapture capture("memory");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int j = 0; j < 100; ++j) trace(Channel::memory, "line");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(capture.lines().size(), 400u);
}

// A new process reads INGOT_TRACE itself; gtest's death test is one.
TEST(TraceDeathTest, EnvironmentIsReadAtTheFirstQuestion) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  setenv("INGOT_TRACE", "dispatch:conv", 1);
  EXPECT_EXIT(
      {
        trace(Channel::dispatch, "matmul: refused");
        trace(Channel::dispatch, "conv2d: chosen");
        std::exit(trace_enabled(Channel::passes) ? 1 : 0);
      },
      testing::ExitedWithCode(0), "^ingot dispatch: conv2d: chosen\n$");
  setenv("INGOT_TRACE", "what", 1);
  EXPECT_EXIT(std::exit(trace_enabled(Channel::passes) ? 1 : 0), testing::ExitedWithCode(0),
              "^ingot: environment variable \"INGOT_TRACE\": channel must be one of \"passes\", "
              "\"regions\", \"dispatch\", \"numerics\", \"memory\", \"kernels\", \"launches\", got "
              "\"what\"\n$");
  unsetenv("INGOT_TRACE");
}

}  // namespace
}  // namespace ingot
