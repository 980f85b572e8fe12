#include "tests/engine/support/determinism.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ingot::testing_support {

void expect_equal_weights(TrainingSpec spec, int steps, int runs) {
  spec.threads = 1;
  Training one(spec);
  const auto start = one.variables();
  one.steps(steps);
  const auto weights = one.variables();
  EXPECT_NE(weights, start);
  spec.threads = 2;
  for (int run = 0; run < runs; ++run) {
    Training two(spec);
    two.steps(steps);
    EXPECT_EQ(two.variables(), weights) << "run " << run;
  }
}

std::string test_name(const TrainingSpec& spec) {
  std::string name(spec.model);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace ingot::testing_support
