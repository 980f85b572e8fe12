#include "ingot/train/step_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/base/planted_bug.h"
#include "ingot/engine/compile.h"
#include "ingot/nn/layers.h"
#include "ingot/runtime/backend.h"
#include "ingot/train/training_graph.h"
#include "tests/support/gpu_test.h"

namespace ingot::train {
namespace {

constexpr std::int64_t kBatch = 4;

/// The bias of the first convolution is before a batch norm: its gradient is zero but for rounding.
nn::Sequential net() {
  return nn::Sequential(nn::Conv2d(3, 8, 3, {.padding = 1}), nn::BatchNorm2d(8), nn::ReLU(),
                        nn::Conv2d(8, 8, 3, {.padding = 1, .bias = false}), nn::BatchNorm2d(8),
                        nn::ReLU(), nn::MaxPool2d(2), nn::Flatten(), nn::Linear(8 * 4 * 4, 5));
}

class Batch {
 public:
  Batch() : images_(static_cast<std::size_t>(kBatch * 3 * 8 * 8)) {
    for (std::size_t i = 0; i < images_.size(); ++i) images_[i] = philox_uniform(5, 0, 0, i) - 0.5f;
  }
  [[nodiscard]] std::vector<Feed> feeds() const {
    return {{"input", images_.data(), images_.size() * sizeof(float)},
            {"target", labels_.data(), labels_.size() * sizeof(std::int32_t)}};
  }

 private:
  std::vector<float> images_;
  std::vector<std::int32_t> labels_{0, 3, 1, 4};
};

enum class Parameters { as_initialised, nudged };

StepOutcome first_step(const std::string& device, Parameters parameters) {
  const Graph graph = build_train_graph(net(), {3, 8, 8}, kBatch, {});
  VariableStore store(make_backend(device), 1);
  Executable exe = compile(graph, store);
  spread_scales_and_shifts(store);
  if (parameters == Parameters::nudged) nudge_parameters(store);
  const Batch batch;
  return take_first_step(exe, store, batch.feeds());
}

StepDifference cpu_against_reference() {
  return compare_steps(first_step("cpu", Parameters::as_initialised),
                       first_step("reference", Parameters::as_initialised),
                       first_step("reference", Parameters::nudged));
}

TEST(StepCheck, ARightStepDiffersByRoundingAlone) {
  const StepDifference found = cpu_against_reference();
  EXPECT_LT(found.distance, 1e-4);
  EXPECT_LT(found.over_rounding, 8);
  // Loss, conv, two norms, conv, linear; the bias of the first convolution is zero but for
  // rounding.
  EXPECT_EQ(found.checked, 9);
  EXPECT_EQ(found.unchecked, 1);
}

#ifdef INGOT_PLANTED_BUGS
TEST(StepCheck, PlantedBugsStandOut) {
  const StepOutcome want = first_step("reference", Parameters::as_initialised);
  const StepOutcome nudged = first_step("reference", Parameters::nudged);
  for (const PlantedBug bug :
       {PlantedBug::dropped_conv_tap, PlantedBug::transposed_weight, PlantedBug::wrong_epsilon}) {
    const PlantedBugScope planted(bug);
    const StepOutcome got = first_step("cpu", Parameters::as_initialised);
    EXPECT_GT(compare_steps(got, want, nudged).over_rounding, 8) << static_cast<int>(bug);
  }
}
#endif

class StepCheckOnAGpu : public testing_support::GpuTest {};

TEST_F(StepCheckOnAGpu, NoiseIsDrawnThereAsWell) {
  const Graph graph = build_train_graph(net(), {3, 8, 8}, kBatch, {});
  VariableStore start(make_backend("reference"), 1);
  (void)compile(graph, start);
  spread_scales_and_shifts(start);
  const Batch batch;
  const StepDifference found =
      compare_steps(first_step("cuda", Parameters::as_initialised),
                    first_step("reference", Parameters::as_initialised),
                    noisy_first_steps(graph, make_backend("cuda"), start, batch.feeds()).front());
  EXPECT_LT(found.over_rounding, 2);
  EXPECT_EQ(found.checked, 9);
  EXPECT_EQ(found.unchecked, 1);
}

HostTensor scalar(float value) {
  HostTensor tensor({DType::f32, {}});
  tensor.view().set(0, value);
  return tensor;
}

TEST(StepCheck, ComparesInMultiplesOfTheNudgedStep) {
  const StepDifference found =
      compare_steps({{"loss", scalar(1.03f)}}, {{"loss", scalar(1.0f)}}, {{"loss", scalar(1.01f)}});
  EXPECT_NEAR(found.distance, 0.03, 1e-6);
  EXPECT_NEAR(found.over_rounding, 3, 1e-4);
  EXPECT_EQ(found.worst, "loss");
}

HostTensor pair_of(double a, double b, DType dtype = DType::f32) {
  HostTensor tensor({dtype, {2}});
  tensor.view().set(0, a);
  tensor.view().set(1, b);
  return tensor;
}

TEST(StepCheck, DistancesHaveComponents) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const HostTensor want = pair_of(3, 4, dtype);
    const HostTensor got = pair_of(6, 8, dtype);
    EXPECT_DOUBLE_EQ(l2_distance(got, want).norm, 5);
    EXPECT_DOUBLE_EQ(l2_distance(got, want).difference, 5);
    EXPECT_DOUBLE_EQ(relative_distance(got, want), 1);
    EXPECT_DOUBLE_EQ(component(got, want, want), 5);
    EXPECT_DOUBLE_EQ(component(got, want, pair_of(-2, 0, dtype)), -3);
    EXPECT_DOUBLE_EQ(component(got, want, pair_of(-4, 3, dtype)), 0);
    EXPECT_DOUBLE_EQ(component(got, want, pair_of(0, 0, dtype)), 0);
  }
}

TEST(StepCheck, NoiseTakesEveryResultAsFarAsRoundingDoes) {
  const Graph graph = build_train_graph(net(), {3, 8, 8}, kBatch, {});
  VariableStore start(make_backend("reference"), 1);
  (void)compile(graph, start);
  spread_scales_and_shifts(start);
  const Batch batch;
  const std::vector<StepOutcome> noisy =
      noisy_first_steps(graph, make_backend("cpu"), start, batch.feeds());
  const StepOutcome want = first_step("reference", Parameters::as_initialised);
  EXPECT_EQ(noisy.size(), 8u);
  EXPECT_NE(relative_distance(noisy[0][1].second, noisy[1][1].second), 0) << "each its own noise";
  // Of a step that rounds, not of another one.
  const StepDifference noise = compare_steps(noisy[0], want, noisy[1]);
  EXPECT_LT(noise.distance, 1e-4);
  EXPECT_LT(noise.over_rounding, 4);
}

TEST(StepCheck, NoiseIsAskedWhereANudgeExplainsNothing) {
  const StepOutcome want{{"a", scalar(1)}, {"b", scalar(1)}};
  const StepOutcome got{{"a", scalar(1.03f)}, {"b", scalar(1.001f)}};
  const StepOutcome nudged{{"a", scalar(1.001f)}, {"b", scalar(1.001f)}};
  EXPECT_NEAR(compare_steps(got, want, nudged).over_rounding, 30, 0.1);
  // The furthest counts.
  const std::vector<StepOutcome> noisy{{{"a", scalar(1.01f)}, {"b", scalar(2)}},
                                       {{"a", scalar(1.002f)}, {"b", scalar(1)}}};
  const StepDifference found = compare_steps(got, want, nudged, noisy);
  EXPECT_NEAR(found.over_rounding, 3, 0.01);
  EXPECT_EQ(found.checked, 2);
  // Noise that drowns a result leaves the others as they are.
  const std::vector<StepOutcome> wild{{{"a", scalar(2)}, {"b", scalar(2)}}};
  EXPECT_NEAR(compare_steps(got, want, nudged, wild).over_rounding, 1, 0.01);
  EXPECT_EQ(compare_steps(got, want, nudged, wild).unchecked, 1);
}

TEST(StepCheck, NotANumberIsInfinitelyFarAway) {
  const StepDifference found = compare_steps(
      {{"loss", scalar(std::numeric_limits<float>::quiet_NaN())}, {"a", scalar(1)}},
      {{"loss", scalar(1)}, {"a", scalar(1)}}, {{"loss", scalar(1.01f)}, {"a", scalar(1.01f)}});
  EXPECT_TRUE(std::isinf(found.over_rounding));
  EXPECT_EQ(found.worst, "loss");
}

void expect_refusal(const StepDifference& difference, const std::string& message) {
  try {
    require_agreement(difference, "the reference");
    FAIL() << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::internal);
    EXPECT_EQ(error.what(), message);
  }
}

TEST(StepCheck, RefusesWhatRoundingDoesNotExplain) {
  require_agreement({.over_rounding = 8, .checked = 10, .unchecked = 1}, "the reference");
  expect_refusal(
      {.over_rounding = 8.06, .worst = "0.weight", .checked = 10},
      "step check: the step must agree with the reference but for rounding, got 0.weight "
      "8.06 times as far away as rounding takes it");
  expect_refusal(
      {.checked = 19, .unchecked = 2},
      "step check: nine results in ten must be comparable with the reference, got 2 that "
      "rounding drowns and 19 others");
}

TEST(StepCheck, RefusesStepsOfOtherResults) {
  try {
    (void)compare_steps({{"loss", scalar(1)}}, {{"a", scalar(1)}}, {{"a", scalar(1)}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "compare_steps: the steps must compute the same results, \"a\" is not in all of "
                 "them");
  }
}

TEST(StepCheck, NudgesEveryParameterAndSpreadsNormsAlone) {
  const Graph graph = build_train_graph(net(), {3, 8, 8}, kBatch, {});
  VariableStore store(make_backend("reference"), 1);
  (void)compile(graph, store);
  const HostTensor conv_before = store.read("0.weight");
  spread_scales_and_shifts(store);
  EXPECT_EQ(store.read("0.weight").to_doubles(), conv_before.to_doubles());
  for (const double scale : store.read("1.weight").to_doubles()) {
    EXPECT_GE(scale, 0.5);
    EXPECT_LT(scale, 1);
  }
  for (const double shift : store.read("1.bias").to_doubles()) {
    EXPECT_GE(shift, 1);
    EXPECT_LT(shift, 2);
  }
  const std::vector<double> before = store.read("3.weight").to_doubles();
  nudge_parameters(store);
  const std::vector<double> after = store.read("3.weight").to_doubles();
  int moved = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_LE(std::abs(after[i] - before[i]), 1.1 * kNudge * std::abs(before[i]));
    moved += after[i] != before[i] ? 1 : 0;
  }
  EXPECT_GT(moved, static_cast<int>(before.size() * 9 / 10));
}

}  // namespace
}  // namespace ingot::train
