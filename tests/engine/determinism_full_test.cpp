// Weights after 1,000 steps are equal to the bit for 1 and 2 threads, and across repeated runs.
#include <gtest/gtest.h>

#include "tests/engine/support/determinism.h"

namespace ingot {
namespace {

using testing_support::expect_equal_weights;
using testing_support::TrainingSpec;

class ThousandSteps : public testing::TestWithParam<TrainingSpec> {};

TEST_P(ThousandSteps, AreEqualForOneAndTwoThreadsAndAgain) {
  expect_equal_weights(GetParam(), 1000, 2);
}

INSTANTIATE_TEST_SUITE_P(
    Models, ThousandSteps,
    testing::Values(TrainingSpec{.model = "seed-cnn"}, TrainingSpec{.model = "mlp784"},
                    TrainingSpec{.model = "gometal-cnn", .batch = 2, .size = 8}),
    [](const auto& info) { return testing_support::test_name(info.param); });

}  // namespace
}  // namespace ingot
