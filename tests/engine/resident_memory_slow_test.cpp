#include <gtest/gtest.h>

#include "tests/engine/support/resident_memory.h"

namespace ingot {
namespace {

TEST(ResidentMemory, StaysWithinAMebibyte) { testing_support::expect_steady_memory(3000, 4); }

}  // namespace
}  // namespace ingot
