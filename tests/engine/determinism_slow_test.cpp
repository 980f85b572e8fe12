// Weights after 200 steps are equal to the bit for 1 and 2 threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/engine/support/training.h"

namespace ingot {
namespace {

using testing_support::Training;
using testing_support::TrainingSpec;

class TwoHundredSteps : public testing::TestWithParam<TrainingSpec> {};

TEST_P(TwoHundredSteps, AreEqualForOneAndTwoThreads) {
  TrainingSpec spec = GetParam();
  Training one(spec);
  const auto start = one.variables();
  one.steps(200);
  const auto weights = one.variables();
  EXPECT_NE(weights, start);
  spec.threads = 2;
  Training two(spec);
  two.steps(200);
  EXPECT_EQ(two.variables(), weights);
}

INSTANTIATE_TEST_SUITE_P(
    Models, TwoHundredSteps,
    testing::Values(TrainingSpec{.model = "seed-cnn"}, TrainingSpec{.model = "mlp784"},
                    TrainingSpec{.model = "lenet", .batch = 16},
                    TrainingSpec{.model = "gometal-cnn", .batch = 4, .size = 16},
                    TrainingSpec{.model = "resnet18-cifar", .batch = 2, .size = 8}),
    [](const auto& info) {
      std::string name(info.param.model);
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

}  // namespace
}  // namespace ingot
