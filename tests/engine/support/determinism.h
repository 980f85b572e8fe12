// Training must give the same weights whatever the number of threads.
#pragma once

#include <string>

#include "tests/engine/support/training.h"

namespace ingot::testing_support {

/// Trains so many steps on one thread, then `runs` times on two: the weights must have moved and be
/// equal to the bit.
void expect_equal_weights(TrainingSpec spec, int steps, int runs);

/// The model's name as a test's may be.
std::string test_name(const TrainingSpec& spec);

}  // namespace ingot::testing_support
