// Results do not depend on the number of threads.
#include <gtest/gtest.h>

#include "tests/engine/support/training.h"

namespace ingot {
namespace {

using testing_support::Training;
using testing_support::TrainingSpec;

TEST(Determinism, OneAndTwoThreadsGiveEqualWeights) {
  for (TrainingSpec spec : {TrainingSpec{.model = "seed-cnn", .batch = 8, .size = 12},
                            TrainingSpec{.model = "lenet", .batch = 4, .size = 16}}) {
    SCOPED_TRACE(spec.model);
    Training one(spec);
    spec.threads = 2;
    Training two(spec);
    const auto start = one.variables();
    one.steps(5);
    two.steps(5);
    EXPECT_EQ(one.variables(), two.variables());
    EXPECT_NE(one.variables(), start);
  }
}

}  // namespace
}  // namespace ingot
