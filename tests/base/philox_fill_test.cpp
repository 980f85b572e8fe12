#include "ingot/base/philox_fill.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "ingot/base/philox.h"

namespace ingot {
namespace {

// Starts and lengths that begin, end or stay inside a block of four.
TEST(PhiloxFill, GivesTheElementsOneByOne) {
  for (const std::uint64_t first : {0u, 1u, 3u, 4u, 1027u}) {
    for (const std::size_t count : {0u, 1u, 2u, 4u, 5u, 37u}) {
      std::vector<float> uniform(count, -1.0F);
      std::vector<double> normal(count, -100.0);
      philox_fill_uniform(uniform, 7, 8, 9, first);
      philox_fill_normal(normal, 7, 8, 9, first);
      for (std::size_t i = 0; i < count; ++i) {
        EXPECT_EQ(uniform[i], philox_uniform(7, 8, 9, first + i)) << first << " + " << i;
        EXPECT_EQ(normal[i], philox_normal(7, 8, 9, first + i)) << first << " + " << i;
      }
    }
  }
}

}  // namespace
}  // namespace ingot
