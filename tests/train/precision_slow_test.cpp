// A thousand steps in lower precision.
#include <gtest/gtest.h>

#include "ingot/data/synthetic.h"
#include "ingot/nn/models/models.h"
#include "ingot/optim/loss_scale.h"
#include "ingot/train/trainer.h"

namespace ingot::train {
namespace {

TEST(LowPrecisionSlow, LenetReachesTheAccuracyOfF32) {
  const auto data = data::make_synthetic({{1, 12, 12}, 6, 1600, 600, 11});
  const auto metrics = [&](Precision precision) {
    TrainerOptions options;
    options.batch_size = 32;
    options.epochs = 20;
    options.learning_rate = 0.01;
    options.precision = precision;
    Trainer trainer(nn::make_model("lenet", {1, 12, 12, 6}), options);
    const Metrics test = trainer.fit(data).epochs.back().test;
    EXPECT_EQ(trainer.step(), 1000);
    if (precision == Precision::f16) {
      EXPECT_GE(trainer.variables().read(optim::kUpdates).view().get_int(0), 980);
    }
    return test;
  };
  const Metrics exact = metrics(Precision::f32);
  EXPECT_GE(exact.accuracy, 0.9);
  for (const Precision precision : {Precision::bf16, Precision::f16}) {
    EXPECT_NEAR(metrics(precision).accuracy, exact.accuracy, 0.02) << precision_name(precision);
  }
}

}  // namespace
}  // namespace ingot::train
