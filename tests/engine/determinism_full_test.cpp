// Weights after 1,000 steps are equal to the bit for 1 and 2 threads, and across repeated runs.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/engine/support/training.h"

namespace ingot {
namespace {

using testing_support::Training;
using testing_support::TrainingSpec;

class ThousandSteps : public testing::TestWithParam<TrainingSpec> {};

TEST_P(ThousandSteps, AreEqualForOneAndTwoThreadsAndAgain) {
  TrainingSpec spec = GetParam();
  Training one(spec);
  const auto start = one.variables();
  one.steps(1000);
  const auto weights = one.variables();
  EXPECT_NE(weights, start);
  spec.threads = 2;
  for (int run = 0; run < 2; ++run) {
    Training two(spec);
    two.steps(1000);
    EXPECT_EQ(two.variables(), weights) << "run " << run;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, ThousandSteps,
    testing::Values(TrainingSpec{.model = "seed-cnn"}, TrainingSpec{.model = "mlp784"},
                    TrainingSpec{.model = "gometal-cnn", .batch = 2, .size = 8}),
    [](const auto& info) {
      std::string name(info.param.model);
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

}  // namespace
}  // namespace ingot
