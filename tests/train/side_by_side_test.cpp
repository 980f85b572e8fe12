// Training beside a judge: right steps pass, wrong ones of every kind do not.
#include "ingot/train/side_by_side.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/base/planted_bug.h"
#include "ingot/ir/op_def.h"
#include "ingot/nn/layers.h"
#include "ingot/ops/operators.h"
#include "ingot/passes/rewriter.h"
#include "ingot/runtime/backend.h"
#include "ingot/train/training_graph.h"
#include "tests/support/gpu_test.h"

namespace ingot::train {
namespace {

constexpr std::int64_t kBatch = 4;
constexpr std::int64_t kSide = 8;

struct Recipe {
  double eps = 1e-5;
  double momentum = 0.9;
  Precision precision = Precision::f32;
  double loss_scale = 65536;
};

Graph graph_of(const Recipe& recipe = {}) {
  const nn::Sequential net(nn::Conv2d(3, 8, 3, {.padding = 1, .bias = false}),
                           nn::BatchNorm2d(8, {.eps = recipe.eps}), nn::ReLU(),
                           nn::Conv2d(8, 8, 3, {.padding = 1}), nn::ReLU(), nn::MaxPool2d(2),
                           nn::Flatten(), nn::Linear(8 * 4 * 4, 5));
  TrainingRecipe training;
  training.optimizer = optim::SGD{.momentum = recipe.momentum};
  training.schedule.base = 0.02;
  training.precision = recipe.precision;
  training.loss_scaling.initial = recipe.loss_scale;
  return build_train_graph(net, {3, kSide, kSide}, kBatch, training);
}

/// The same random batch in every step.
class Data {
 public:
  explicit Data(std::uint64_t seed) : images_(kBatch * 3 * kSide * kSide), labels_{0, 3, 1, 4} {
    for (std::size_t i = 0; i < images_.size(); ++i) {
      images_[i] = philox_uniform(seed, 0, 0, i) - 0.5f;
    }
  }
  [[nodiscard]] std::vector<Feed> feeds() const {
    return {{"input", images_.data(), images_.size() * sizeof(float)},
            {"target", labels_.data(), labels_.size() * sizeof(std::int32_t)}};
  }

 private:
  std::vector<float> images_;
  std::vector<std::int32_t> labels_;
};

Side side(const Graph& graph, std::string_view device, std::uint64_t seed = 5) {
  const auto data = std::make_shared<Data>(seed);
  return {graph, make_backend(device), [data](std::int64_t) { return data->feeds(); }};
}

constexpr SideBySideOptions kFew{.steps = 3, .free_steps = 20};

SideBySide compare(const Recipe& tested, const Recipe& judge, std::uint64_t tested_data = 5,
                   std::string_view device = "cpu") {
  const Graph tested_graph = graph_of(tested);
  const Graph judge_graph = graph_of(judge);
  return train_side_by_side(side(tested_graph, device, tested_data), side(judge_graph, "reference"),
                            kFew);
}

/// The message of what require_side_by_side() throws; empty where it does not.
std::string refusal(const SideBySide& found, Precision precision = Precision::f32) {
  try {
    require_side_by_side(found, "the reference", precision);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::internal);
    EXPECT_EQ(error.code(), ErrorCode::numerics);
    return std::string(error.message());
  }
  return {};
}

TEST(SideBySide, RightTrainingIsWithinItsBoundsInEveryPrecision) {
  for (const Precision precision :
       {Precision::f32, Precision::tf32, Precision::bf16, Precision::f16}) {
    SCOPED_TRACE(precision_name(precision));
    const SideBySide found = compare({.precision = precision}, {.precision = precision});
    EXPECT_EQ(refusal(found, precision), "");
    EXPECT_EQ(found.steps, 3);
    EXPECT_EQ(found.skipped, 0);
    // Loss, two convolutions, one with a bias, scale and shift, linear layer with bias.
    EXPECT_EQ(found.results + found.drowned, 3 * 8);
    EXPECT_EQ(found.free_steps, 20);
    EXPECT_LT(found.last_loss, 0.9 * found.first_loss) << "the free-running steps must learn";
  }
}

TEST(SideBySide, BoundsAreThoseOfRounding) {
  const SideBySide found = compare({}, {});
  EXPECT_GT(found.over_bound, 1e-3);
  EXPECT_LT(found.distance, 1e-5);
  EXPECT_EQ(found.drowned, 0);
}

TEST(SideBySide, AnotherEpsilonIsOutsideTheBound) {
  const SideBySide found = compare({.eps = 2e-5}, {.eps = 1e-5});
  EXPECT_GT(found.over_bound, 2);
  EXPECT_NE(refusal(found).find("every result must be within its bound of the reference"),
            std::string::npos);
}

TEST(SideBySide, OtherImagesAreOutsideTheBoundInBf16Too) {
  const Recipe bf16{.precision = Precision::bf16};
  EXPECT_GT(compare(bf16, bf16, 6).over_bound, 2);
}

/// The Graph with the gradient of every convolution's weight so many times as large.
std::unique_ptr<Graph> with_scaled_gradients(const Graph& graph, double times) {
  return rewrite(graph, [times](Rewriter& rewriter, const Node& node) {
    Node* const now = rewriter.clone(node);
    if (node.op().traits.contraction && node.op().attr_index("weight_shape") >= 0) {
      rewriter.replace(node, *(now->output() * times).node());
    }
  });
}

SideBySide compare_scaled_gradients(double times, Precision precision) {
  const Graph right = graph_of({.precision = precision});
  const std::unique_ptr<Graph> wrong = with_scaled_gradients(right, times);
  return train_side_by_side(side(*wrong, "cpu"), side(right, "reference"), kFew);
}

TEST(SideBySide, AGradientThatIsOffByAHundredthIsOutsideItsBound) {
  for (const double times : {0.99, 1.01}) {
    const SideBySide found = compare_scaled_gradients(times, Precision::f32);
    EXPECT_GT(found.over_bound, 2);
    EXPECT_NE(refusal(found).find("got 0.weight.momentum_buffer of step "), std::string::npos)
        << refusal(found);
  }
}

TEST(SideBySide, AScaledGradientIsFoundInEveryPrecision) {
  for (const auto& [precision, times] :
       {std::pair{Precision::f32, 1.001}, std::pair{Precision::tf32, 0.99},
        std::pair{Precision::f16, 1.02}, std::pair{Precision::bf16, 0.9}}) {
    SCOPED_TRACE(precision_name(precision));
    const SideBySide found = compare_scaled_gradients(times, precision);
    EXPECT_GT(found.over_scale_bound, 1.2);
    EXPECT_NEAR(found.scaled, times - 1, 0.1 * std::abs(times - 1));
    EXPECT_NE(refusal(found, precision), "");
  }
}

TEST(SideBySide, AMissingMomentumShowsInTheFreeRunningStepsAlone) {
  const SideBySide found = compare({.momentum = 1e-9}, {.momentum = 0.9});
  EXPECT_LE(found.over_bound, 1);
  EXPECT_GT(found.free_mean, kFreeLimit);
  EXPECT_NE(refusal(found).find("mean losses must be within 2 % of the reference"),
            std::string::npos);
}

TEST(SideBySide, StepsThatOverflowAreSkippedByBoth) {
  const Recipe f16{.precision = Precision::f16, .loss_scale = 0x1p24};
  const SideBySide found = compare(f16, f16);
  EXPECT_GT(found.skipped, 0);
  EXPECT_EQ(found.steps, 3);
  EXPECT_EQ(refusal(found, Precision::f16), "");
}

TEST(SideBySide, OneSideAloneThatSkipsIsAnError) {
  const Graph graph = graph_of({.precision = Precision::f16});
  Side tested = side(graph, "cpu");
  // A batch norm divides by so little here that its gradient overflows.
  const auto dark = std::make_shared<std::vector<float>>(kBatch * 3 * kSide * kSide, 1e-3f);
  const auto feeds = tested.feeds;
  tested.feeds = [=](std::int64_t step) {
    std::vector<Feed> result = feeds(step);
    result[0].data = dark->data();
    return result;
  };
  try {
    (void)train_side_by_side(tested, side(graph, "reference"), kFew);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "side by side: both must skip the same steps, got one that did step 0");
  }
}

/// A shift that the next norm takes away, except where a ReLU lies between its values.
Graph graph_of_norms() {
  const nn::Sequential net(nn::BatchNorm2d(3), nn::ReLU(), nn::Conv2d(3, 4, 1, {.bias = false}),
                           nn::BatchNorm2d(4), nn::Flatten(), nn::Linear(4 * kSide * kSide, 5));
  return build_train_graph(net, {3, kSide, kSide}, kBatch, {});
}

TEST(SideBySide, AGradientThatCancelsInOneStepIsDrownedThereAlone) {
  const Graph graph = graph_of_norms();
  // Scaled by less than 1 and shifted by 1 or more, images of -1 and 1 alone stay positive; of
  // those with one low pixel in 32 that pixel does not.
  const auto even = std::make_shared<std::vector<float>>(kBatch * 3 * kSide * kSide);
  const auto uneven = std::make_shared<std::vector<float>>(even->size());
  for (std::size_t i = 0; i < even->size(); ++i) {
    (*even)[i] = (i / 2 + i / 16) % 2 == 0 ? -1.0f : 1.0f;
    (*uneven)[i] = (i % 32 == i / 64 % 32 ? -8.0f : 0.0f) + philox_uniform(5, 0, 0, i);
  }
  const auto with_these = [&](Side now) {
    now.feeds = [=, feeds = now.feeds](std::int64_t step) {
      std::vector<Feed> result = feeds(step);
      result[0].data = (step == 1 ? even : uneven)->data();
      return result;
    };
    return now;
  };
  const SideBySide found = train_side_by_side(with_these(side(graph, "cpu")),
                                              with_these(side(graph, "reference")), kFew);
  EXPECT_EQ(refusal(found), "");
  EXPECT_EQ(found.drowned, 1);
  // Loss, scales and shifts of two norms, convolution, linear layer with bias.
  EXPECT_EQ(found.results, 3 * 8 - 1);
  EXPECT_LT(found.over_bound, 1);
}

TEST(SideBySide, EachSideIsCompiledAsItSays) {
  const Graph graph = graph_of();
  Side judge = side(graph, "cpu");
  judge.compile.disabled_passes = {"fuse", "batch_slices", "fuse_updates"};
  EXPECT_EQ(refusal(train_side_by_side(side(graph, "cpu"), judge, kFew)), "");
  judge.compile.disabled_passes = {"no_such_pass"};
  EXPECT_THROW((void)train_side_by_side(side(graph, "cpu"), judge, kFew), Error);
}

#ifdef INGOT_PLANTED_BUGS
TEST(SideBySide, PlantedBugsAreOutsideTheBound) {
  // A wrong epsilon is compiled in, on both sides.
  for (const PlantedBug bug : {PlantedBug::dropped_conv_tap, PlantedBug::transposed_weight}) {
    const Graph graph = graph_of();
    Side judge = side(graph, "reference");
    Side tested = side(graph, "cpu");
    // Planted while the tested side runs: from its feeds to the judge's.
    std::optional<PlantedBugScope> planted;
    tested.feeds = [&, feeds = tested.feeds](std::int64_t step) {
      planted.emplace(bug);
      return feeds(step);
    };
    judge.feeds = [&, feeds = judge.feeds](std::int64_t step) {
      planted.reset();
      return feeds(step);
    };
    EXPECT_GT(train_side_by_side(tested, judge, kFew).over_bound, 2) << static_cast<int>(bug);
  }
}
#endif

class SideBySideOnAGpu : public testing_support::GpuTest {};

TEST_F(SideBySideOnAGpu, TrainingIsWithinItsBoundsInEveryPrecision) {
  for (const Precision precision :
       {Precision::f32, Precision::tf32, Precision::bf16, Precision::f16}) {
    SCOPED_TRACE(precision_name(precision));
    const Recipe recipe{.precision = precision};
    EXPECT_EQ(refusal(compare(recipe, recipe, 5, "cuda"), precision), "");
  }
}

TEST_F(SideBySideOnAGpu, AnotherEpsilonIsOutsideTheBound) {
  EXPECT_GT(compare({.eps = 2e-5}, {.eps = 1e-5}, 5, "cuda").over_bound, 2);
}

TEST(SideBySide, RefusesWithWhatWasFound) {
  EXPECT_EQ(refusal({.results = 9, .drowned = 1, .over_bound = 1, .free_mean = 0.02}), "");
  EXPECT_EQ(refusal({.results = 10, .over_bound = 1.5, .worst = "fc.bias", .worst_step = 7}),
            "side by side: every result must be within its bound of the reference, got fc.bias of "
            "step 7 1.5 times as far away");
  EXPECT_EQ(
      refusal({.results = 10, .scaled = 0.01, .over_scale_bound = 2.5, .worst_scale = "fc.bias"}),
      "side by side: over all steps no result may be scaled by more than rounding explains, "
      "got fc.bias 1 % away from that of the reference, 2.5 times its bound");
  EXPECT_EQ(refusal({.results = 8, .drowned = 1}),
            "side by side: 9 result(s) in ten must be comparable with the reference, got 8 of 9 "
            "that rounding does not drown");
  EXPECT_EQ(refusal({.results = 1, .drowned = 9}, Precision::bf16), "");
  EXPECT_EQ(refusal({.results = 0, .drowned = 9}, Precision::bf16),
            "side by side: 1 result(s) in ten must be comparable with the reference, got 0 of 9 "
            "that rounding does not drown");
  EXPECT_EQ(refusal({.results = 1, .free_mean = 0.031}),
            "side by side: mean losses must be within 2 % of the reference, got 3.1 %");
}

}  // namespace
}  // namespace ingot::train
