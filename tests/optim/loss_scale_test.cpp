#include "ingot/optim/loss_scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "ingot/engine/compile.h"
#include "ingot/ops/operators.h"
#include "ingot/optim/optimizer.h"
#include "tests/support/expect_error.h"

namespace ingot::optim {
namespace {

using testing_support::expect_user_error;

/// torch.amp.GradScaler.update(), in a loop.
struct ByLoop {
  LossScaling scaling;
  float scale = static_cast<float>(scaling.initial);
  int good = 0;

  void update(bool finite) {
    if (!finite) {
      scale *= static_cast<float>(scaling.backoff_factor);
      good = 0;
    } else if (++good == scaling.growth_interval) {
      const float grown = scale * static_cast<float>(scaling.growth_factor);
      if (std::isfinite(grown)) scale = grown;
      good = 0;
    }
  }
};

/// A parameter whose gradient is fed, times the scale.
Graph scaled_step(const LossScaling& scaling, const Rule& rule) {
  Graph graph;
  const Value p = graph.variable("p", {DType::f32, {3}}, Initializer::constant(1));
  const Value g = graph.placeholder("g", {DType::f16, {3}});
  const Value scale = loss_scale(graph, scaling);
  const Value gradient = ops::cast(g, DType::f32) * scale;
  const Value finite = ops::all_finite(graph, {gradient});
  graph.fetch("scale", scale);
  apply_update(graph, rule, std::vector{p}, std::vector{gradient}, graph.scalar(0.1),
               update_count(graph), {1.0 / scale, finite});
  update_loss_scale(graph, scaling, finite);
  return graph;
}

TEST(LossScale, FollowsGradScaler) {
  const LossScaling cases[] = {
      {.initial = 1024, .growth_interval = 3},
      {.initial = 3, .growth_factor = 1.5, .backoff_factor = 0.25, .growth_interval = 1},
      {.initial = 0x1p126, .growth_interval = 2}};
  for (const LossScaling& scaling : cases) {
    VariableStore store(make_backend("cpu"));
    Executable exe = compile(scaled_step(scaling, SGD{.momentum = 0.5}), store);
    ByLoop loop{scaling};
    for (int step = 0; step < 40; ++step) {
      const bool finite = step % 7 != 5 && step % 11 != 0;
      HostTensor g({DType::f16, {3}},
                   std::vector<double>{0, 0, finite ? 0 : std::numeric_limits<double>::infinity()});
      const HostTensor before = store.read("p");
      exe.run({{"g", g.bytes().data(), g.bytes().size()}});
      ASSERT_EQ(exe.fetched("scale").view().get(0), loop.scale) << step;
      loop.update(finite);
      ASSERT_EQ(store.read(kLossScale).view().get(0), loop.scale) << step;
      ASSERT_EQ(store.read(kGoodSteps).view().get_int(0), loop.good) << step;
      ASSERT_EQ(store.read("p"), before) << step;
    }
  }
}

TEST(LossScale, UpdatesAreThoseOfTheUnscaledGoodSteps) {
  const Rule rules[] = {SGD{}, SGD{.momentum = 0.5, .dampening = 0.25},
                        SGD{.momentum = 0.5, .weight_decay = 0.125, .nesterov = true}, AdamW{}};
  for (const Rule& rule : rules) {
    SCOPED_TRACE(rule.index());
    Graph plain;
    const Value p = plain.variable("p", {DType::f32, {3}}, Initializer::constant(1));
    const Value step =
        plain.variable("step", {DType::i64, {}}, Initializer::constant(0), VariableRole::counter);
    apply_update(plain, rule, std::vector{p},
                 std::vector{ops::cast(plain.placeholder("g", {DType::f16, {3}}), DType::f32)},
                 plain.scalar(0.1), step);
    plain.assign(step, step + 1.0);
    VariableStore plain_store(make_backend("cpu"));
    Executable plain_exe = compile(plain, plain_store);
    VariableStore store(make_backend("cpu"));
    Executable exe = compile(scaled_step({}, rule), store);
    for (int i = 0; i < 12; ++i) {
      const bool finite = i % 4 != 1;
      const double bad = finite ? 0.25 : std::numeric_limits<double>::quiet_NaN();
      HostTensor g({DType::f16, {3}}, std::vector<double>{0.5 - 0.125 * i, 1, bad});
      const Feed feed{"g", g.bytes().data(), g.bytes().size()};
      exe.run({feed});
      if (finite) plain_exe.run({feed});
      // Scales are powers of two.
      ASSERT_EQ(store.read("p"), plain_store.read("p")) << i;
    }
    EXPECT_EQ(store.read(kUpdates).view().get_int(0), 9);
  }
}

TEST(LossScale, ClippingSeesUnscaledGradients) {
  Graph graph;
  const Value a = graph.placeholder("a", {DType::f32, {2}});
  const Value factor = graph.placeholder("factor", {DType::f32, {}});
  graph.fetch("factor of norm", clip_factor(graph, std::vector{a}, 2.0, factor));
  VariableStore store(make_backend("reference"));
  Executable exe = compile(graph, store);
  const float values[] = {30, 40};
  const float tenth = 0.1f;
  exe.run({{"a", values, sizeof(values)}, {"factor", &tenth, sizeof(tenth)}});
  EXPECT_NEAR(exe.fetched("factor of norm").view().get(0), 0.1 * 2 / 5, 1e-6);
}

TEST(LossScale, Errors) {
  const auto check = [](const LossScaling& scaling, const std::string& message) {
    expect_user_error(ErrorCode::invalid_argument, message, [&] { check_loss_scaling(scaling); });
  };
  check({.initial = 0}, "loss scaling: the initial scale must be at least 1, got 0");
  check({.growth_factor = 1}, "loss scaling: growth_factor must be above 1, got 1");
  check({.backoff_factor = 1}, "loss scaling: backoff_factor must be between 0 and 1, got 1");
  check({.growth_interval = 0}, "loss scaling: growth_interval must be at least 1, got 0");
}

}  // namespace
}  // namespace ingot::optim
