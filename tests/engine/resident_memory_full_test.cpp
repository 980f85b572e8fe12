#include <gtest/gtest.h>

#include "tests/engine/support/resident_memory.h"

namespace ingot {
namespace {

TEST(ResidentMemory, StaysWithinAMebibyteForAHundredThousandSteps) {
  testing_support::expect_steady_memory(100000, 32);
}

}  // namespace
}  // namespace ingot
