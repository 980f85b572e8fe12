// Depthwise convolutions of random shapes, in channel-blocked and in plain layouts, against the
// records' reference kernels, which sum in double precision.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/base/philox.h"
#include "ingot/ir/op_def.h"
#include "tests/backends/support/candidates.h"
#include "tests/backends/support/conv_cases.h"
#include "tests/backends/support/node_run.h"

namespace ingot {
namespace {

/// Numbers of the test's own, the same in every run.
class Numbers {
 public:
  explicit Numbers(std::uint32_t seed) : seed_(seed) {}
  /// In [least, most].
  std::int64_t operator()(std::int64_t least, std::int64_t most) {
    const double uniform = philox_uniform(seed_, 7, 0, at_++);
    return least + static_cast<std::int64_t>(uniform * static_cast<double>(most - least + 1));
  }

 private:
  std::uint32_t seed_;
  std::uint64_t at_ = 0;
};

/// Kernels of up to 7x7 and images that are not much larger, or much wider.
ConvCase random_case(std::uint32_t seed, std::int64_t channels, std::int64_t multiplier) {
  Numbers number(seed);
  const bool square = number(0, 2) > 0;
  const std::int64_t kh = number(1, 7);
  const std::int64_t kw = square ? kh : number(1, 9);
  const bool dilates = number(0, 3) == 0;
  ConvCase conv{.name = {},
                .x = {number(1, 3), channels, number(1, 12), number(1, 2) * number(1, 24)},
                .w = {channels * multiplier, 1, kh, kw},
                .options = {.groups = channels}};
  conv.options.stride = {number(1, 3), number(1, 3)};
  if (dilates) conv.options.dilation = {number(1, 2), number(1, 4)};
  const auto pads = [&](std::int64_t size, std::int64_t kernel, std::int64_t dilation) {
    // At least as much as the kernel needs to fit.
    const std::int64_t extent = (kernel - 1) * dilation + 1;
    const std::int64_t before = number(0, extent - 1);
    const std::int64_t after = std::max(number(0, extent - 1), extent - size - before);
    return std::pair(before, std::max<std::int64_t>(after, 0));
  };
  const auto [top, bottom] = pads(conv.x[2], kh, conv.options.dilation[0]);
  const auto [left, right] = pads(conv.x[3], kw, conv.options.dilation[1]);
  conv.options.padding = {top, bottom, left, right};
  return conv;
}

std::string describe(const ConvCase& conv) {
  const auto& [stride, padding, dilation, groups, math] = conv.options;
  return fmt::format("x {} w {} stride {},{} padding {},{},{},{} dilation {},{}",
                     conv.x.to_string(), conv.w.to_string(), stride[0], stride[1], padding[0],
                     padding[1], padding[2], padding[3], dilation[0], dilation[1]);
}

/// To oneDNN or to direct products, which are faster there.
bool leaves_to_others(const CpuBackend& backend, const Node& node, std::string_view name) {
  return candidate_support(backend, node, name).reason.starts_with("leaves ");
}

void expect_right(const ConvCase& conv, std::int64_t block, std::string_view candidate) {
  SCOPED_TRACE(describe(conv));
  static const CpuBackend one({.threads = 1});
  static const CpuBackend two({.threads = 2});
  const ConvNodes nodes = make_conv_nodes(conv);
  for (Node* node : nodes.all()) {
    SCOPED_TRACE(node->op().name);
    const bool plain_gradient = block == 0 && node != nodes.forward;
    if (plain_gradient && (node == nodes.weight_grad || conv.w[0] != conv.x[1])) continue;
    if (block > 0) {
      const Layout blocked = Layout::channels_blocked(block);
      const Layout weights({}, {{0, block}});
      const bool weights_last = node == nodes.weight_grad;
      node->input(0).node()->set_layout(0, blocked);
      node->input(1).node()->set_layout(0, weights_last ? blocked : weights);
      node->set_layout(0, weights_last ? weights : blocked);
    }
    if (leaves_to_others(one, *node, candidate)) continue;
    const NodeRun run = expect_matches_reference(*node, one, candidate);
    EXPECT_EQ(run.outputs, run_node(*node, random_operands(*node), two, candidate).outputs)
        << "1 and 2 threads differ";
  }
}

TEST(ConvDepthwise, RandomShapesInBlocksOfChannels) {
  for (std::uint32_t seed = 0; seed < 120; ++seed) {
    const std::int64_t block = seed % 2 == 0 ? 8 : 16;
    expect_right(random_case(seed, block * (1 + seed % 3), 1), block, "depthwise");
  }
}

TEST(ConvDepthwise, RandomShapesInPlainLayouts) {
  for (std::uint32_t seed = 0; seed < 120; ++seed) {
    expect_right(random_case(1000 + seed, 4 + seed % 31, 1), 0, "depthwise");
  }
}

TEST(ConvDepthwise, RandomShapesWithSeveralOutputsForEachChannel) {
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    expect_right(random_case(2000 + seed, 2 + seed % 9, 2 + seed % 3), 0, "depthwise");
  }
}

}  // namespace
}  // namespace ingot
