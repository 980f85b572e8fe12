#include "ingot/train/options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/expect_error.h"

namespace ingot::train {
namespace {

using testing_support::expect_user_error;

TEST(Options, JsonRoundTrip) {
  TrainerOptions options;
  options.batch_size = 7;
  options.epochs = 3;
  options.learning_rate = 0.1;
  options.optimizer = optim::AdamW{.beta1 = 0.7, .weight_decay = 0.3};
  options.schedule = {optim::Schedule::Kind::one_cycle, 4, 0.5, 2, 0.3};
  options.clip_norm = 1.5;
  options.label_smoothing = 0.1;
  options.decay_vectors = false;
  options.seed = ~std::uint64_t{0};
  options.augment = {2, true};
  options.normalization = {{0.1f, 0.2f}, {0.3f, 0.7f}};
  const io::Json json = options_to_json(options);
  const TrainerOptions back = options_from_json(io::Json::parse(json.dump(), "options"));
  EXPECT_EQ(options_to_json(back), json);
  EXPECT_EQ(back.normalization, options.normalization);
  EXPECT_EQ(back.schedule, options.schedule);
  EXPECT_EQ(back.seed, options.seed);
  const TrainerOptions plain = options_from_json(options_to_json({}));
  EXPECT_EQ(options_to_json(plain), options_to_json({}));
  EXPECT_EQ(optimizer_name(plain.optimizer), "sgd");
}

TEST(Options, ScheduleInSteps) {
  TrainerOptions options;
  options.epochs = 6;
  options.learning_rate = 0.5;
  options.schedule = {optim::Schedule::Kind::cosine, 0, 1.5, 2, 0.3};
  const optim::Schedule in_steps = schedule_in_steps(options, 10);
  EXPECT_EQ(in_steps.total_steps, 60);
  EXPECT_EQ(in_steps.warmup_steps, 15);
  EXPECT_EQ(in_steps.step_size, 20);
  EXPECT_EQ(in_steps.base, 0.5);
  options.schedule.epochs = 9;
  EXPECT_EQ(schedule_in_steps(options, 10).total_steps, 90);
}

struct BadOption {
  void (*change)(TrainerOptions&);
  const char* text;
};

const BadOption kBadOptions[] = {
    {[](TrainerOptions& o) { o.batch_size = 0; }, "trainer: batch_size must be positive, got 0"},
    {[](TrainerOptions& o) { o.epochs = 0; }, "trainer: epochs must be from 1 to 1000000, got 0"},
    {[](TrainerOptions& o) { o.learning_rate = -1; },
     "trainer: learning_rate must be finite and not negative, got -1"},
    {[](TrainerOptions& o) { o.learning_rate = std::nan(""); },
     "trainer: learning_rate must be finite and not negative, got nan"},
    {[](TrainerOptions& o) { o.epochs = std::numeric_limits<std::int64_t>::max(); },
     "trainer: epochs must be from 1 to 1000000, got 9223372036854775807"},
    {[](TrainerOptions& o) { o.schedule.warmup_epochs = std::nan(""); },
     "trainer: warm-up epochs must be from 0 to 1000000, got nan"},
    {[](TrainerOptions& o) { o.clip_norm = -1; },
     "trainer: clip_norm must be finite and not negative, got -1"},
    {[](TrainerOptions& o) { o.label_smoothing = 1; },
     "trainer: label_smoothing must be in [0, 1), got 1"},
    {[](TrainerOptions& o) { o.schedule.epochs = -1; },
     "trainer: schedule epochs must be from 0 to 1000000, got -1"},
    {[](TrainerOptions& o) { o.schedule.warmup_epochs = -1; },
     "trainer: warm-up epochs must be from 0 to 1000000, got -1"},
    {[](TrainerOptions& o) { o.schedule.step_epochs = 0; },
     "trainer: step epochs must be from 1 to 1000000, got 0"},
    {[](TrainerOptions& o) { o.schedule.gamma = 0; },
     "trainer: gamma must be finite and positive, got 0"},
    {[](TrainerOptions& o) { o.augment.shift = -1; },
     "trainer: augment shift must not be negative, got -1"},
    {[](TrainerOptions& o) { o.optimizer = optim::SGD{.momentum = -1}; },
     "SGD: momentum must not be negative, got -1"},
    {[](TrainerOptions& o) { o.threads = -1; }, "trainer: threads must not be negative, got -1"},
    {[](TrainerOptions& o) { o.loader_workers = -1; },
     "trainer: loader_workers must not be negative, got -1"},
};

TEST(Options, Errors) {
  for (const BadOption& bad : kBadOptions) {
    TrainerOptions options;
    bad.change(options);
    expect_user_error(ErrorCode::invalid_argument, bad.text, [&] { check_options(options); });
  }
  expect_user_error(ErrorCode::invalid_argument,
                    "optimizer \"adam\": must be one of \"sgd\", \"adamw\", got no such name",
                    [] { parse_optimizer("adam"); });
}

}  // namespace
}  // namespace ingot::train
