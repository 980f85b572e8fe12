// Training in lower precision: near f32, skipped steps, bitwise repeats.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/data/synthetic.h"
#include "ingot/engine/compile.h"
#include "ingot/nn/layers.h"
#include "ingot/train/trainer.h"
#include "ingot/train/training_graph.h"

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
