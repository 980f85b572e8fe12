#include "tests/bench/support/check_small_net.h"
#include "tests/support/gpu_test.h"

namespace ingot::small_nets {
namespace {

TEST(SmallNetsSlow, AllStepAsTheReferenceDoes) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) expect_like_reference(seed, 3);
}

/// A test a seed, so that several processes can share them.
class SmallNetsOnAGpu : public testing_support::GpuTest,
                        public testing::WithParamInterface<std::uint64_t> {};

TEST_P(SmallNetsOnAGpu, StepsAsTheReferenceDoes) {
  const std::uint64_t seed = GetParam();
  expect_like_reference(seed, 2, "cuda");
  // The net's own batch, which the reference cannot follow.
  const int nodes = expect_like("cpu", seed, make_net(seed).batch, "cuda");
  fmt::print("net {}: {} node(s) a step, {}\n", seed, nodes, HasFailure() ? "wrong" : "right");
}

INSTANTIATE_TEST_SUITE_P(Seeds, SmallNetsOnAGpu, testing::Range<std::uint64_t>(0, 50));

}  // namespace
}  // namespace ingot::small_nets
