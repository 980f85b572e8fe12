#include <set>

#include "tests/bench/support/check_small_net.h"

namespace ingot::small_nets {
namespace {

TEST(SmallNets, CoverWhatTheyPromise) {
  std::set<std::string> kinds;
  std::set<std::string> rest;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Net net = make_net(seed);
    int linears = 0;
    for (const Layer& layer : net.layers) {
      kinds.insert(layer.kind);
      if (layer.kind == "conv") {
        EXPECT_LE(layer.out, 64);
        rest.insert("kernel " + std::to_string(layer.kernel));
        rest.insert("stride " + std::to_string(layer.stride));
      }
      linears += layer.kind == "linear" ? 1 : 0;
    }
    EXPECT_GE(linears, 1);
    EXPECT_LE(linears, 3);
    rest.insert(net.loss);
    rest.insert(net.optimizer);
  }
  EXPECT_EQ(kinds.size(), 6 + 8u);  // layers and activations
  EXPECT_EQ(rest.size(), 3 + 2 + 4 + 2u);
}

TEST(SmallNets, AFewStepAsTheReferenceDoes) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) expect_like_reference(seed, 2);
}

TEST(SmallNets, AFewStepAsTheReferenceDoesOnAGpu) {
  if (!has_gpu()) GTEST_SKIP() << "needs a GPU";
  for (std::uint64_t seed = 0; seed < 3; ++seed) expect_like_reference(seed, 2, "cuda");
}

}  // namespace
}  // namespace ingot::small_nets
