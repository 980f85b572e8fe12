// Convolutions against the records' reference kernels, in the layouts that the backend wishes for.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/backends/cpu/cpu_machine.h"
#include "ingot/ir/op_def.h"
#include "tests/backends/support/candidates.h"
#include "tests/backends/support/conv_cases.h"
#include "tests/backends/support/node_run.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

TEST(Conv, EveryCandidateMatchesTheReferenceWithAnyNumberOfThreads) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  for (const ConvCase& conv : conv_cases()) {
    SCOPED_TRACE(conv.name);
    const ConvNodes nodes = make_conv_nodes(conv, DType::f32, &one);
    for (const Node* node : nodes.all()) {
      for (const KernelCandidate& candidate : one.kernels().candidates(node->op().name)) {
        SCOPED_TRACE(candidate.name);
        if (!candidate.supports(*node, one)) continue;
        const NodeRun run = expect_matches_reference(*node, one, candidate.name);
        const NodeRun again = run_node(*node, random_operands(*node), two, candidate.name);
        EXPECT_EQ(run.outputs, again.outputs) << "1 and 2 threads differ";
      }
    }
  }
}

TEST(Conv, DirectTakesEverythingInAnyLayoutAndInDouble) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  for (const ConvCase& conv : conv_cases()) {
    SCOPED_TRACE(conv.name);
    for (const DType dtype : {DType::f32, DType::f64}) {
      const ConvNodes plain = make_conv_nodes(conv, dtype);
      for (const Node* node : plain.all()) {
        const NodeRun run = expect_matches_reference(*node, one, "direct");
        const NodeRun again = run_node(*node, random_operands(*node), two, "direct");
        EXPECT_EQ(run.outputs, again.outputs) << "1 and 2 threads differ";
      }
    }
  }
}

TEST(Conv, OnednnTakesTheUsualCasesOfFullBlocks) {
  const CpuBackend backend({.threads = 1});
  if (simd_f32_lanes() < 8) GTEST_SKIP() << "oneDNN has few kernels for processors without AVX2";
  const std::vector<std::string> usual{"64 channels", "batch 1",      "batch 9", "stride 2",
                                       "1x1",         "1x1 stride 2", "groups",  "depthwise"};
  for (const ConvCase& conv : conv_cases()) {
    if (std::find(usual.begin(), usual.end(), conv.name) == usual.end()) continue;
    const ConvNodes nodes = make_conv_nodes(conv, DType::f32, &backend);
    for (const Node* node : nodes.all()) {
      const Support support = candidate_support(backend, *node, "onednn");
      if (support.reason == "not in the table") GTEST_SKIP() << "needs oneDNN";
      EXPECT_TRUE(support) << conv.name << ", " << node->op().name << ": " << support.reason;
    }
  }
}

TEST(Conv, DepthwiseSaysWhatItLeavesToOthers) {
  const CpuBackend backend({.threads = 1});
  const auto reason = [&](const Node* node) {
    return candidate_support(backend, *node, "depthwise").reason;
  };
  const std::set<std::string> forward{"depthwise, 7x7"};
  const std::set<std::string> input_grad{
      "depthwise",      "depthwise, stride 2",      "depthwise, long rows, stride 2",
      "depthwise, 7x7", "depthwise, 5x5, stride 2", "depthwise, wider than the image"};
  for (const ConvCase& conv : conv_cases()) {
    SCOPED_TRACE(conv.name);
    const ConvNodes nodes = make_conv_nodes(conv, DType::f32, &backend);
    if (nodes.forward->outputs()[0].layout.is_plain()) continue;
    for (const Node* node : nodes.all()) {
      if (!conv.name.starts_with("depthwise")) {
        EXPECT_EQ(reason(node), "takes a group for each channel");
        continue;
      }
      const std::int64_t out = nodes.forward->output_type().shape[3];
      const auto& [stride, padding, dilation, groups, math] = conv.options;
      bool ours = (node == nodes.forward ? forward : input_grad).contains(conv.name);
      std::string left = fmt::format(
          "leaves {}x{} kernels of stride {} and dilation {} on rows of {} columns to oneDNN",
          conv.w[2], conv.w[3], stride[1], dilation[1], conv.x[3]);
      if (node == nodes.weight_grad) {
        ours = out >= 48;
        left = fmt::format("leaves rows of {} columns to oneDNN", out);
      }
      const bool has_library = candidate_support(backend, *node, "onednn").ok;
      EXPECT_EQ(reason(node), has_library && !ours ? left : "") << node->op().name;
    }
  }
  const auto plain = [&](std::int64_t channels, std::int64_t columns) {
    return make_conv_nodes(
        {"plain", {2, channels, 8, columns}, {channels, 1, 3, 3}, {.groups = channels}});
  };
  EXPECT_EQ(reason(plain(20, 10).forward), "");
  EXPECT_EQ(reason(plain(20, 10).input_grad), "");
  EXPECT_EQ(reason(plain(20, 10).weight_grad),
            "takes full blocks of channels, got input plain, weights plain, output plain");
  EXPECT_EQ(reason(plain(20, 66).forward), "leaves rows of 64 columns to direct products");
  EXPECT_EQ(reason(plain(3, 10).forward), "takes 4 channels and more, got 3");
}

TEST(Conv, ALimitOfTheInstructionsAfterOneDnnsFirstUseIsAnError) {
  if (onednn_version().empty()) GTEST_SKIP() << "needs oneDNN";
  const CpuBackend backend({.threads = 1});
  const ConvNodes nodes = make_conv_nodes(conv_cases()[1], DType::f32, &backend);
  EXPECT_TRUE(candidate_support(backend, *nodes.forward, "onednn"));
  testing_support::expect_user_error(ErrorCode::invalid_argument,
                                     "environment variable \"INGOT_SIMD\": must be \"best\" where "
                                     "oneDNN was used before the first "
                                     "CPU backend was made, got \"avx2\"",
                                     [] { limit_simd(SimdLimit::avx2); });
}

TEST(Conv, WinogradTakesWideImagesOfStrideOneAndSaysWhatItRefuses) {
  const CpuBackend backend({.threads = 1});
  const ConvNodes usual = make_conv_nodes(conv_cases()[1], DType::f32, &backend);
  if (usual.forward->outputs()[0].layout.is_plain()) GTEST_SKIP() << "no blocked layouts";
  for (const ConvCase& conv : conv_cases()) {
    const ConvNodes nodes = make_conv_nodes(conv, DType::f32, &backend);
    const Support support = candidate_support(backend, *nodes.forward, "winograd");
    if (conv.name == "64 channels" || conv.name.starts_with("3x3,")) {
      EXPECT_TRUE(support) << conv.name << ": " << support.reason;
      EXPECT_TRUE(candidate_support(backend, *nodes.weight_grad, "winograd")) << conv.name;
    } else if (conv.name == "1x1") {
      EXPECT_EQ(support.reason, "takes 3x3, got 1x1");
    } else if (conv.name == "stride 2") {
      EXPECT_EQ(support.reason, "takes stride 1 alone");
    } else if (conv.name == "groups") {
      EXPECT_EQ(support.reason, "takes no groups");
    }
  }
  // Transforming the weights for a handful of tiles would cost more than it saves.
  const ConvNodes few = make_conv_nodes(
      {"few", {1, 64, 4, 4}, {64, 64, 3, 3}, {.padding = {1, 1, 1, 1}}}, DType::f32, &backend);
  EXPECT_EQ(candidate_support(backend, *few.forward, "winograd").reason,
            "would take 1.52 times as long as direct products are estimated to");
}

TEST(Conv, WinogradStaysWithinTheOpsToleranceOfManyChannels) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  // The widest 3x3 convolutions of ResNets, and a number of channels that leaves a short stretch.
  for (const ConvCase& conv : std::vector<ConvCase>{
           {"deep", {6, 160, 8, 8}, {256, 160, 3, 3}, {.padding = {1, 1, 1, 1}}},
           {"deepest", {6, 512, 6, 6}, {512, 512, 3, 3}, {.padding = {1, 1, 1, 1}}}}) {
    const ConvNodes nodes = make_conv_nodes(conv, DType::f32, &one);
    if (nodes.forward->outputs()[0].layout.is_plain()) GTEST_SKIP() << "no blocked layouts";
    for (const Node* node : nodes.all()) {
      SCOPED_TRACE(conv.name);
      const NodeRun run = expect_matches_reference(*node, one, "winograd");
      const NodeRun again = run_node(*node, random_operands(*node), two, "winograd");
      EXPECT_EQ(run.outputs, again.outputs) << "1 and 2 threads differ";
    }
  }
}

}  // namespace
}  // namespace ingot
