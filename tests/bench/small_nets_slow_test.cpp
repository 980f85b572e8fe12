#include "tests/bench/support/check_small_net.h"

namespace ingot::small_nets {
namespace {

TEST(SmallNetsSlow, AllStepAsTheReferenceDoes) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) expect_like_reference(seed, 3);
}

TEST(SmallNetsSlow, AllStepAsTheReferenceDoesOnAGpu) {
  if (!has_gpu()) GTEST_SKIP() << "needs a GPU";
  for (std::uint64_t seed = 0; seed < 50; ++seed) expect_like_reference(seed, 2, "cuda");
}

}  // namespace
}  // namespace ingot::small_nets
