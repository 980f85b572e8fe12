// Convolutions of one image with few pixels and many weights by Ingot's own kernel, against the
// record's reference kernel, which sums in double precision.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/ir/op_def.h"
#include "tests/backends/support/candidates.h"
#include "tests/backends/support/conv_cases.h"
#include "tests/backends/support/node_run.h"

namespace ingot {
namespace {

Support support_of(const ConvCase& conv, std::int64_t block = 8, DType dtype = DType::f32) {
  static const CpuBackend backend({.threads = 1});
  const ConvNodes nodes =
      block > 0 ? make_blocked_conv_nodes(conv, block) : make_conv_nodes(conv, dtype);
  return candidate_support(backend, *nodes.forward, "streamed");
}

const ConvCase kFits{"", {1, 64, 4, 4}, {128, 64, 3, 3}, {.padding = {1, 1, 1, 1}}};

TEST(ConvStreamed, IsRightAndTheSameForAnyNumberOfThreads) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  const std::vector<ConvCase> cases{
      kFits,
      {"", {1, 512, 1, 1}, {128, 512, 1, 1}},                           // a pixel
      {"", {1, 80, 8, 8}, {112, 80, 3, 3}, {.padding = {1, 1, 1, 1}}},  // a short last stretch
      {"", {1, 64, 7, 7}, {144, 64, 3, 3}, {.padding = {1, 1, 1, 1}}},  // 49 pixels, 9 or 18 blocks
      {"", {1, 128, 9, 7}, {528, 128, 1, 1}, {.stride = {2, 3}}},       // slices of uneven numbers
      {"", {1, 48, 11, 13}, {128, 48, 5, 3}, {.stride = {2, 2}, .padding = {3, 1, 0, 2}}},
      {"", {1, 64, 12, 9}, {128, 64, 3, 3}, {.padding = {0, 2, 1, 0}, .dilation = {3, 2}}},
  };
  for (const std::int64_t block : {8, 16}) {
    for (const ConvCase& conv : cases) {
      SCOPED_TRACE(
          fmt::format("blocks of {}: x {} w {}", block, conv.x.to_string(), conv.w.to_string()));
      const Support support = support_of(conv, block);
      if (!support) {
        EXPECT_EQ(support.reason, fmt::format("vectors are shorter than {} lanes", block));
        continue;
      }
      const ConvNodes nodes = make_blocked_conv_nodes(conv, block);
      const Node& node = *nodes.forward;
      const NodeRun run = expect_matches_reference(node, one, "streamed");
      EXPECT_EQ(run.kernel, "streamed");
      const NodeRun again = run_node(node, random_operands(node), two, "streamed");
      EXPECT_EQ(run.outputs, again.outputs) << "1 and 2 threads differ";
    }
  }
}

TEST(ConvStreamed, SaysWhatItRefuses) {
  if (!support_of(kFits)) GTEST_SKIP() << "short vectors";
  EXPECT_EQ(support_of(kFits).reason, "");
  EXPECT_EQ(support_of({"", {2, 64, 4, 4}, {128, 64, 3, 3}}).reason, "takes one image, got 2");
  EXPECT_EQ(support_of({"", {1, 64, 4, 4}, {128, 32, 3, 3}, {.groups = 2}}).reason,
            "takes no groups");
  EXPECT_EQ(support_of({"", {1, 64, 4, 4}, {132, 64, 3, 3}}).reason,
            "takes full blocks of channels, got input aBcd8b, weights ABcd8b8a, output aBcd8b");
  EXPECT_EQ(support_of(kFits, 0).reason,
            "takes full blocks of channels, got input plain, weights plain, output plain");
  EXPECT_EQ(support_of(kFits, 0, DType::f64).reason, "takes f32, got f64");
  EXPECT_EQ(support_of({"", {1, 64, 9, 8}, {128, 64, 1, 1}}).reason,
            "takes up to 64 pixels, got 72");
  EXPECT_EQ(support_of({"", {1, 64, 4, 4}, {64, 64, 3, 3}}).reason,
            "takes 65536 weights or more, got 36864");
}

}  // namespace
}  // namespace ingot
