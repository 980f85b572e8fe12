#include "ingot/base/planted_bug.h"

#include <gtest/gtest.h>

namespace ingot {
namespace {

TEST(PlantedBug, NoneUnlessPlanted) {
  EXPECT_EQ(planted_bug(), PlantedBug::none);
  EXPECT_EQ(kernel_epsilon(1e-5), 1e-5);
}

#ifdef INGOT_PLANTED_BUGS
TEST(PlantedBug, LastsAsLongAsItsScope) {
  {
    const PlantedBugScope outer(PlantedBug::wrong_epsilon);
    EXPECT_EQ(kernel_epsilon(1e-5), 10 * 1e-5);
    {
      const PlantedBugScope inner(PlantedBug::dropped_conv_tap);
      EXPECT_EQ(planted_bug(), PlantedBug::dropped_conv_tap);
    }
    EXPECT_EQ(planted_bug(), PlantedBug::wrong_epsilon);
  }
  EXPECT_EQ(planted_bug(), PlantedBug::none);
}
#else
static_assert(!kPlantedBugsAvailable && planted_bug() == PlantedBug::none);
#endif

}  // namespace
}  // namespace ingot
