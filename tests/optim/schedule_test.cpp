#include "ingot/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "ingot/engine/compile.h"
#include "ingot/ops/operators.h"
#include "tests/support/expect_error.h"

namespace ingot::optim {
namespace {

using Kind = Schedule::Kind;
using testing_support::expect_user_error;

const Schedule kSchedules[] = {
    {.kind = Kind::constant, .base = 0.3},
    {.kind = Kind::constant, .base = 0.3, .warmup_steps = 5},
    {.kind = Kind::cosine, .base = 0.2, .total_steps = 40},
    {.kind = Kind::cosine, .base = 0.2, .total_steps = 40, .warmup_steps = 8},
    {.kind = Kind::one_cycle, .base = 0.1, .total_steps = 50},
    {.kind = Kind::step, .base = 1.0, .step_size = 7, .gamma = 0.5},
};

TEST(Schedule, GraphEqualsHost) {
  for (const Schedule& schedule : kSchedules) {
    Graph graph;
    VariableStore store(make_backend("reference"));
    const Value step =
        graph.variable("step", {DType::i64, {}}, Initializer::constant(0), VariableRole::counter);
    graph.fetch("lr", learning_rate(graph, schedule, step));
    graph.assign(step, step + 1.0);
    Executable exe = compile(graph, store);
    for (int i = 0; i < 60; ++i) {
      exe.run({});
      EXPECT_NEAR(exe.fetched("lr").view().get(0), learning_rate_at(schedule, i),
                  2e-6 * schedule.base)
          << static_cast<int>(schedule.kind) << " step " << i;
    }
  }
}

TEST(Schedule, Formulas) {
  EXPECT_DOUBLE_EQ(learning_rate_at(kSchedules[0], 1000), 0.3);
  EXPECT_DOUBLE_EQ(learning_rate_at(kSchedules[1], 0), 0.3 / 6);
  EXPECT_DOUBLE_EQ(learning_rate_at(kSchedules[1], 5), 0.3);
  EXPECT_DOUBLE_EQ(learning_rate_at(kSchedules[2], 10),
                   0.2 * (1 + std::cos(std::numbers::pi / 4)) / 2);
  EXPECT_NEAR(learning_rate_at(kSchedules[2], 40), 0, 1e-15);
  EXPECT_NEAR(learning_rate_at(kSchedules[2], 400), 0, 1e-15);
  EXPECT_DOUBLE_EQ(learning_rate_at(kSchedules[3], 8), 0.2);
  // torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1, total_steps=50)
  EXPECT_NEAR(learning_rate_at(kSchedules[4], 0), 0.004, 1e-12);
  EXPECT_NEAR(learning_rate_at(kSchedules[4], 7), 0.052, 1e-12);
  EXPECT_NEAR(learning_rate_at(kSchedules[4], 14), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate_at(kSchedules[4], 49), 4e-7, 1e-12);
  EXPECT_DOUBLE_EQ(learning_rate_at(kSchedules[5], 6), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate_at(kSchedules[5], 7), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate_at(kSchedules[5], 14), 0.25);
}

TEST(Schedule, Errors) {
  const auto fails = [](const Schedule& schedule, const char* text) {
    expect_user_error(ErrorCode::invalid_argument, text, [&] { learning_rate_at(schedule, 0); });
  };
  fails({.kind = Kind::cosine}, "schedule: total_steps must be positive, got 0");
  fails({.kind = Kind::one_cycle}, "schedule: total_steps must be positive, got 0");
  fails({.kind = Kind::step}, "schedule: step_size must be positive, got 0");
  fails({.warmup_steps = -1}, "schedule: warmup_steps must not be negative, got -1");
  expect_user_error(ErrorCode::invalid_argument,
                    "schedule \"cosin\": must be one of \"constant\", \"cosine\", \"one-cycle\", "
                    "\"step\", got no such name",
                    [] { parse_schedule("cosin"); });
  EXPECT_EQ(parse_schedule("one-cycle"), Kind::one_cycle);
}

}  // namespace
}  // namespace ingot::optim
