#include "ingot/runtime/program_stats.h"

#include <gtest/gtest.h>

#include <vector>

#include "ingot/base/error.h"

namespace ingot {
namespace {

TEST(DeviceMemory, MustBeAsPlanned) {
  const std::vector<MemoryOwner> planned{{"parameter", 96}, {"scratch arena", 32}};
  EXPECT_EQ(total_bytes(planned), 128);
  EXPECT_NO_THROW(require_as_planned(planned, 128));
  try {
    require_as_planned(planned, 160);
    ADD_FAILURE() << "more was allocated than was planned";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::internal);
    EXPECT_EQ(error.message(),
              "device memory: bytes allocated must be those planned, got 160 and 128");
  }
}

}  // namespace
}  // namespace ingot
