// Training in lower precision: near f32, skipped steps, bitwise repeats.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/data/synthetic.h"
#include "ingot/engine/compile.h"
#include "ingot/nn/layers.h"
#include "ingot/train/trainer.h"
#include "ingot/train/training_graph.h"
#include "tests/support/expect_error.h"

namespace ingot::train {
namespace {

nn::Sequential net() {
  return nn::Sequential(nn::Conv2d(2, 4, 3, {.padding = 1}), nn::BatchNorm2d(4), nn::ReLU(),
                        nn::MaxPool2d(2), nn::Flatten(), nn::Linear(64, 3));
}

/// Those of every build, and a GPU where there is one.
std::vector<std::string> devices() {
  std::vector<std::string> names{"reference", "cpu"};
  try {
    make_backend("cuda");
    names.emplace_back("cuda");
  } catch (const Error&) {
    std::printf("without a GPU\n");
  }
  return names;
}

TrainerOptions options(Precision precision, const std::string& device = "cpu") {
  TrainerOptions o;
  o.device = device;
  o.batch_size = 16;
  o.epochs = 6;
  o.learning_rate = 0.05;
  o.precision = precision;
  o.loader_workers = 0;
  return o;
}

void expect_to_learn_as_f32_does(const std::string& device) {
  const auto data = data::make_synthetic({{2, 8, 8}, 3, 160, 64, 5});
  Trainer exact(net(), options(Precision::f32));
  const Metrics want = exact.fit(data).epochs.back().test;
  for (const Precision precision : {Precision::tf32, Precision::bf16, Precision::f16}) {
    SCOPED_TRACE(precision_name(precision));
    Trainer trainer(net(), options(precision, device));
    const Metrics got = trainer.fit(data).epochs.back().test;
    // No CPU kernel rounds to tf32.
    const double bound = precision == Precision::tf32 && device == "cpu" ? 0 : 0.05;
    EXPECT_NEAR(got.loss, want.loss, bound);
    EXPECT_NEAR(got.accuracy, want.accuracy, bound);
    Trainer again(net(), options(precision, device));
    again.fit(data);
    for (const Segment* segment : trainer.variables().segments()) {
      EXPECT_EQ(trainer.variables().read(segment->name), again.variables().read(segment->name))
          << segment->name;
      if (segment->role == VariableRole::parameter) {
        EXPECT_EQ(segment->type.dtype, DType::f32);
      }
    }
  }
}

TEST(LowPrecision, LearnsAsF32Does) {
  for (const std::string& device : devices()) {
    if (device == "reference") continue;  // it takes its time
    SCOPED_TRACE(device);
    expect_to_learn_as_f32_does(device);
  }
}

/// A step of f16 whose scale begins at `scale`, on images that all differ but for a `broken`
/// element.
struct ScaledStep {
  std::vector<float> x = std::vector<float>(4 * 2 * 64);
  std::vector<std::int32_t> y{0, 1, 2, 1};
  VariableStore store;
  Executable exe;

  ScaledStep(const std::string& device, double scale, double clip_norm = 0)
      : store(make_backend(device), 1), exe(compile(graph(scale, clip_norm), store)) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 13) / 7 - 1;
  }
  static Graph graph(double scale, double clip_norm) {
    TrainingRecipe recipe;
    recipe.clip_norm = clip_norm;
    recipe.precision = Precision::f16;
    recipe.loss_scaling.initial = scale;
    return build_train_graph(net(), {2, 8, 8}, 4, recipe);
  }
  void step() {
    exe.step({{"input", x.data(), 4 * x.size()}, {"target", y.data(), 4 * y.size()}});
    exe.wait();
  }
  [[nodiscard]] double scale() const { return store.read(optim::kLossScale).view().get(0); }
};

TEST(LowPrecision, AScaledLossBeyondF32SkipsTheStep) {
  std::vector<std::pair<std::string, double>> runs;
  for (const std::string& device : devices()) {
    runs.emplace_back(device, 0.0);
    runs.emplace_back(device, 1.0);
  }
  for (const auto& [device, clip_norm] : runs) {
    SCOPED_TRACE(device);
    ScaledStep scaled(device, 0x1p127, clip_norm);
    const HostTensor before = scaled.store.read("5.weight");
    for (int step = 1; step <= 3; ++step) {
      scaled.step();
      EXPECT_EQ(scaled.scale(), std::ldexp(1.0, 127 - step));
    }
    EXPECT_EQ(scaled.store.read("5.weight"), before);
    while (const auto entry = scaled.exe.losses().pop()) {
      EXPECT_TRUE(std::isfinite(entry->values[0]));
    }
  }
}

TEST(LowPrecision, ALossThatIsNotFiniteItselfIsReported) {
  for (const std::string& device : devices()) {
    SCOPED_TRACE(device);
    ScaledStep scaled(device, 0x1p16);
    scaled.step();
    const HostTensor before = scaled.store.read("5.weight");
    scaled.x[5] = std::numeric_limits<float>::quiet_NaN();
    const auto reported = [&] {
      const std::string text = testing_support::error_of([&] { scaled.step(); });
      return text.substr(0, text.find("\nnote: made at"));  // a line of the library
    };
    const std::string by_fetch =
        "fetch \"loss\": value must be finite, got nan\n"
        "note: in step 1; no variable was changed\n"
        "help: run the step on device \"cpu\" to see which op gave it first";
    EXPECT_EQ(reported(), device == "cuda" ? by_fetch
                                           : "placeholder \"input\": value must be finite, got nan "
                                             "at element 5 of f32[4,2,8,8]\n"
                                             "note: in step 1; no variable was changed");
    // Activations beyond f16 leave no loss either: a smaller scale would not help.
    scaled.x[5] = 1e6F;
    EXPECT_EQ(reported(), device == "cuda" ? by_fetch
                                           : "cast \"cast_0\": result must be finite, got inf at "
                                             "element 5 of f16[4,2,8,8]\n"
                                             "note: in step 1; no variable was changed");
    EXPECT_EQ(scaled.scale(), 0x1p16);
    EXPECT_EQ(scaled.store.read("5.weight"), before);
  }
}

TEST(LowPrecision, AStepThatOverflowsChangesTheCountersAlone) {
  for (const std::string& device : devices()) {
    SCOPED_TRACE(device);
    VariableStore store(make_backend(device), 1);
    TrainingRecipe recipe;
    recipe.precision = Precision::f16;
    recipe.loss_scaling = {.initial = 0x1p30, .growth_interval = 4};
    Executable exe = compile(build_train_graph(net(), {2, 8, 8}, 4, recipe), store);
    std::vector<float> x(4 * 2 * 64);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 13) / 7 - 1;
    const std::vector<std::int32_t> y{0, 1, 2, 1};
    const auto learned = [&] {
      std::vector<HostTensor> values;
      for (const Segment* segment : store.segments()) {
        if (segment->role != VariableRole::counter) values.push_back(store.read(segment->name));
      }
      return values;
    };
    auto before = learned();
    double scale = 0x1p30;
    int skipped = 0;
    int steps = 0;
    for (; steps < 40; ++steps) {
      exe.step({{"input", x.data(), 4 * x.size()}, {"target", y.data(), 4 * y.size()}});
      exe.wait();
      EXPECT_EQ(store.read(kStepVariable).view().get_int(0), steps + 1);
      const double now = store.read(optim::kLossScale).view().get(0);
      if (now < scale) {
        ++skipped;
        EXPECT_EQ(now, scale / 2);
        EXPECT_EQ(learned(), before) << steps;
      } else {
        EXPECT_NE(learned(), before) << steps;
      }
      before = learned();
      scale = now;
    }
    EXPECT_GE(skipped, 8);
    EXPECT_LE(skipped, 24);
    EXPECT_EQ(store.read(optim::kUpdates).view().get_int(0), steps - skipped);
  }
}

}  // namespace
}  // namespace ingot::train
