// The learning-rate schedules against PyTorch's schedulers, step by step.
#include <gtest/gtest.h>

#include "ingot/optim/schedule.h"
#include "tests/goldens/support/goldens.h"

namespace ingot {
namespace {

using testing_support::for_each_golden;
using testing_support::Golden;

void check(const char* golden_name, optim::Schedule::Kind kind) {
  for_each_golden("schedules.safetensors", golden_name, [&](const Golden& golden) {
    const std::vector<double> o = golden.reals("options");
    const optim::Schedule schedule{.kind = kind,
                                   .base = o[0],
                                   .total_steps = static_cast<std::int64_t>(o[1]),
                                   .warmup_steps = static_cast<std::int64_t>(o[2]),
                                   .step_size = static_cast<std::int64_t>(o[3]),
                                   .gamma = o[4]};
    const std::vector<double> rates = golden.reals("rates");
    for (std::size_t step = 0; step < rates.size(); ++step) {
      EXPECT_NEAR(optim::learning_rate_at(schedule, static_cast<std::int64_t>(step)), rates[step],
                  1e-12)
          << step;
    }
  });
}

TEST(Goldens, Schedules) {
  check("constant", optim::Schedule::Kind::constant);
  check("cosine", optim::Schedule::Kind::cosine);
  check("one_cycle", optim::Schedule::Kind::one_cycle);
  check("step", optim::Schedule::Kind::step);
}

}  // namespace
}  // namespace ingot
