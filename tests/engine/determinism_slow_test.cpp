// Weights after 200 steps are equal to the bit for 1 and 2 threads.
#include <gtest/gtest.h>

#include "tests/engine/support/determinism.h"

namespace ingot {
namespace {

using testing_support::expect_equal_weights;
using testing_support::TrainingSpec;

class TwoHundredSteps : public testing::TestWithParam<TrainingSpec> {};

TEST_P(TwoHundredSteps, AreEqualForOneAndTwoThreads) { expect_equal_weights(GetParam(), 200, 1); }

INSTANTIATE_TEST_SUITE_P(
    Models, TwoHundredSteps,
    testing::Values(TrainingSpec{.model = "seed-cnn"}, TrainingSpec{.model = "mlp784"},
                    TrainingSpec{.model = "lenet", .batch = 16},
                    TrainingSpec{.model = "gometal-cnn", .batch = 4, .size = 16},
                    TrainingSpec{.model = "resnet18-cifar", .batch = 2, .size = 8}),
    [](const auto& info) { return testing_support::test_name(info.param); });

}  // namespace
}  // namespace ingot
