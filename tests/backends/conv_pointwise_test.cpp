// 1x1 convolutions' weight gradients by Ingot's own kernel, against the record's reference kernel,
// which sums in double precision.
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

constexpr const char* kAny = "pointwise of any size";

Support support_of(const ConvCase& conv, std::int64_t block = 8, DType dtype = DType::f32,
                   std::string_view name = kAny) {
  static const CpuBackend backend({.threads = 1});
  const ConvNodes nodes =
      block > 0 ? make_blocked_conv_nodes(conv, block) : make_conv_nodes(conv, dtype);
  return candidate_support(backend, *nodes.weight_grad, name);
}

/// In the layouts' blocks of channels: how many images of which size, in and out.
struct Case {
  std::int64_t images, rows, columns;
  std::int64_t in, out;
  std::int64_t groups = 1;
};

TEST(ConvPointwise, WeightGradientsAreRightAndTheSameForAnyNumberOfThreads) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  const std::vector<Case> cases{
      {1, 1, 1, 1, 1},      // a pixel
      {3, 5, 7, 1, 3},      // an odd number of output blocks, a few images a chunk
      {5, 9, 3, 3, 2},      // images that the slices cannot share evenly
      {2, 67, 61, 2, 3},    // chunks of uneven parts of a plane
      {2, 7, 5, 17, 1},     // two tiles, uneven
      {2, 3, 5, 19, 35},    // six tiles
      {7, 13, 11, 2, 4, 3}  // groups
  };
  for (const std::int64_t block : {8, 16}) {
    for (const Case& shape : cases) {
      const std::int64_t in = shape.in * block;
      const ConvCase conv{"",
                          {shape.images, in * shape.groups, shape.rows, shape.columns},
                          {shape.out * shape.groups * block, in, 1, 1},
                          {.groups = shape.groups}};
      SCOPED_TRACE(
          fmt::format("blocks of {}: x {} w {}", block, conv.x.to_string(), conv.w.to_string()));
      const Support support = support_of(conv, block);
      if (!support) {
        EXPECT_EQ(support.reason, fmt::format("vectors are shorter than {} lanes", block));
        continue;
      }
      const ConvNodes nodes = make_blocked_conv_nodes(conv, block);
      const Node& node = *nodes.weight_grad;
      const NodeRun run = expect_matches_reference(node, one, kAny);
      EXPECT_EQ(run.kernel, "pointwise");
      const NodeRun again = run_node(node, random_operands(node), two, kAny);
      EXPECT_EQ(run.outputs, again.outputs) << "1 and 2 threads differ";
      const NodeRun serial = expect_matches_reference(node, one.serial(), kAny);
      EXPECT_EQ(serial.outputs, run_node(node, random_operands(node), two.serial(), kAny).outputs);
    }
  }
}

TEST(ConvPointwise, IsChosenForWhatComesFromMemory) {
  const ConvCase small{"", {2, 16, 4, 4}, {8, 16, 1, 1}};
  if (!support_of(small)) GTEST_SKIP() << "short vectors";
  const auto chosen = [](const ConvCase& conv) {
    return support_of(conv, 8, DType::f32, "pointwise").reason;
  };
  EXPECT_EQ(chosen({"", {8, 64, 56, 56}, {64, 64, 1, 1}}), "");
  EXPECT_EQ(chosen({"", {8, 512, 7, 7}, {2048, 512, 1, 1}}), "");
  EXPECT_EQ(chosen(small), "takes 6 MiB of operands and result, got 3584 bytes");
  EXPECT_EQ(chosen({"", {8, 8, 112, 112}, {96, 8, 1, 1}}),
            "takes several blocks of input channels");
  EXPECT_EQ(chosen({"", {8, 64, 56, 56}, {64, 64, 3, 3}, {.padding = {1, 1, 1, 1}}}),
            "takes 1x1, got 3x3");
}

TEST(ConvPointwise, SaysWhatItRefuses) {
  if (!support_of({"", {2, 16, 4, 4}, {8, 16, 1, 1}})) GTEST_SKIP() << "short vectors";
  EXPECT_EQ(support_of({"", {2, 16, 4, 4}, {8, 16, 1, 1}}).reason, "");
  EXPECT_EQ(support_of({"", {2, 16, 4, 4}, {8, 16, 3, 2}}).reason, "takes 1x1, got 3x2");
  EXPECT_EQ(support_of({"", {2, 16, 4, 4}, {8, 16, 1, 1}, {.stride = {1, 2}}}).reason,
            "takes stride 1 alone");
  EXPECT_EQ(support_of({"", {2, 16, 4, 4}, {8, 16, 1, 1}, {.padding = {0, 1, 0, 0}}}).reason,
            "takes no padding");
  EXPECT_EQ(support_of({"", {2, 16, 4, 4}, {8, 16, 1, 1}}, 0).reason,
            "takes full blocks of channels, got input plain, weights plain, output plain");
  EXPECT_EQ(support_of({"", {2, 16, 4, 4}, {8, 16, 1, 1}}, 0, DType::f64).reason,
            "takes f32, got f64");
  EXPECT_EQ(support_of({"", {2, 16, 4, 4}, {12, 16, 1, 1}}).reason,
            "takes full blocks of channels, got input aBcd8b, weights ABcd8b8a, output aBcd8b");
  EXPECT_EQ(support_of({"", {0, 16, 4, 4}, {8, 16, 1, 1}}).reason, "takes no empty tensors");
}

}  // namespace
}  // namespace ingot
