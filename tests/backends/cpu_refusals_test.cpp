// Why the CPU's kernels refuse Nodes. What convolutions leave to one another stands in the tests of
// their kernels, fused Regions in cpu_region_refusals_test.cpp.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "ingot/backends/cpu/conv_blocked_simd.h"
#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/backends/cpu/cpu_machine.h"
#include "ingot/base/planted_bug.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/candidates.h"
#include "tests/backends/support/conv_cases.h"
#include "tests/backends/support/regions.h"

namespace ingot {
namespace {

const CpuBackend& backend() {
  static const CpuBackend cpu({.threads = 1});
  return cpu;
}

std::string refusal(const Node& node, std::string_view candidate = "simd") {
  return candidate_support(backend(), node, candidate).reason;
}
std::string refusal(const Value& value, std::string_view candidate = "simd") {
  return refusal(*value.node(), candidate);
}

const Layout kBlocks = Layout::channels_blocked(8);
const Layout kChannelsLast = Layout({0, 2, 3, 1}, {});

TEST(CpuRefusals, AnOpWithoutKernels) {
  Graph graph;
  EXPECT_EQ(backend().supports(*graph.placeholder("x", {DType::f32, {4}}).node()).reason,
            "no kernel for placeholder");
}

TEST(CpuRefusals, DirectConvolutions) {
  const ConvCase conv{"", {2, 20, 6, 6}, {8, 20, 3, 3}};
  EXPECT_EQ(refusal(*make_conv_nodes(conv, DType::bf16).forward, "direct"),
            "takes f32 and f64, got bf16");
  const ConvNodes nodes = make_conv_nodes(conv);
  in_layout(nodes.forward->input(0), Layout::channels_blocked(16));
  EXPECT_EQ(refusal(*nodes.forward, "direct"),
            "takes no padded layouts, got aBcd16b for [2,20,6,6]");
}

TEST(CpuRefusals, WinogradConvolutions) {
  const auto of = [](const Conv2dOptions& options) {
    return refusal(*make_conv_nodes({"", {2, 16, 9, 9}, {16, 16, 3, 3}, options}).forward,
                   "winograd");
  };
  EXPECT_EQ(of({.dilation = {2, 1}}), "takes no dilation");
  EXPECT_EQ(of({.padding = {0, 1, 3, 0}}), "takes padding up to 2, got 3");
  EXPECT_EQ(of({}), "takes full blocks of channels, got input plain, weights plain, output plain");
}

TEST(CpuRefusals, BlockedWeightGradients) {
  const auto of = [](const ConvCase& conv) {
    return refusal(*make_blocked_conv_nodes(conv, 8).weight_grad, "blocked");
  };
  if (cpu::blocked_code(8).tap == nullptr) {
    EXPECT_EQ(of({"", {2, 16, 4, 4}, {8, 16, 3, 3}}), "vectors are shorter than 8 lanes");
    return;
  }
  EXPECT_EQ(of({"", {2, 16, 4, 4}, {8, 16, 3, 3}}), "");
  EXPECT_EQ(of({"", {2, 16, 4, 4}, {8, 16, 1, 1}}), "takes no 1x1 kernels");
  EXPECT_EQ(of({"", {0, 16, 4, 4}, {8, 16, 3, 3}}), "takes no empty tensors");
}

TEST(CpuRefusals, OneDnn) {
  if (onednn_version().empty()) GTEST_SKIP() << "needs oneDNN";
  const ConvCase conv{"", {2, 16, 6, 6}, {16, 16, 3, 3}};
  EXPECT_EQ(refusal(*make_conv_nodes(conv, DType::f64).forward, "onednn"), "takes f32, got f64");
  EXPECT_EQ(refusal(*make_conv_nodes({"", {0, 16, 6, 6}, conv.w}).forward, "onednn"),
            "takes no empty tensors");
  const ConvNodes nodes = make_conv_nodes(conv);
  in_layout(nodes.forward->input(0), kChannelsLast);
  EXPECT_EQ(refusal(*nodes.forward, "onednn"),
            "no generated code for input acdb, weights plain, output plain");
}

TEST(CpuRefusals, WhileABugIsPlanted) {
#ifdef INGOT_PLANTED_BUGS
  const ConvNodes nodes = make_conv_nodes({"", {2, 16, 6, 6}, {16, 16, 3, 3}});
  const PlantedBugScope scope(PlantedBug::dropped_conv_tap);
  EXPECT_EQ(refusal(*nodes.forward, "winograd"), "leaves a planted bug to the direct kernel");
  EXPECT_EQ(refusal(*nodes.forward, "direct"), "");
#else
  GTEST_SKIP() << "needs a build in which tests can plant bugs";
#endif
}

TEST(CpuRefusals, OtherLayoutsThanPlainOnes) {
  Graph graph;
  const auto input = [&](const Shape& shape) {
    return graph.placeholder("x" + std::to_string(graph.size()), {DType::f32, shape});
  };
  const auto blocked = [&] { return in_layout(input({2, 16, 3, 4}), kBlocks); };
  EXPECT_EQ(refusal(ops::transpose(blocked(), {1, 0, 2, 3})),
            "takes plain layouts alone, got aBcd8b");
  EXPECT_EQ(refusal(in_layout(ops::reshape(input({2, 16, 12}), {2, 16, 3, 4}), kBlocks)),
            "makes plain layouts alone, got aBcd8b");
  EXPECT_EQ(refusal(ops::softmax(blocked())), "takes plain layouts alone, got aBcd8b");
  EXPECT_EQ(refusal(ops::argmax(blocked())), "takes plain layouts alone, got aBcd8b");
  const Value transposed = in_layout(input({3, 5}), Layout({1, 0}, {}));
  EXPECT_EQ(refusal(ops::matmul(input({4, 3}), transposed), "direct"),
            "takes plain layouts alone, got ba");
  EXPECT_EQ(
      refusal(in_layout(ops::matmul(input({4, 3}), input({3, 5})), transposed.layout()), "panels"),
      "makes plain layouts alone, got ba");
}

TEST(CpuRefusals, ReordersBetweenBlocksThatShareNoStep) {
  Graph graph;
  const Value x =
      in_layout(graph.placeholder("x", {DType::f32, {1, 12, 2, 2}}), Layout::channels_blocked(6));
  Node& node = *graph.add(reorder_op(), {x}, {{"layout", "aBcd4b"}});
  node.set_layout(0, Layout::channels_blocked(4));
  EXPECT_EQ(refusal(node), "blocks of 6 and 4 do not divide one another");
}

TEST(CpuRefusals, OptimizersUpdates) {
  Graph graph;
  const auto input = [&](const Layout& layout) {
    return in_layout(
        graph.placeholder("x" + std::to_string(graph.size()), {DType::f32, {20, 20, 1, 1}}),
        layout);
  };
  const auto update = [&](std::string_view rule, const Layout& gradient, const Layout& result) {
    const std::vector<std::string> names{"p", "g"};
    const ops::OptimizerOperand operand{input(kBlocks), input(gradient), {}};
    return in_layout(
        ops::optimizer_update(ScalarProgram::parse(rule, names), {}, {{operand}})[0].parameter,
        result);
  };
  EXPECT_EQ(refusal(update("p - g", kBlocks, kBlocks)), "");
  for (const bool of_gradient : {true, false}) {
    EXPECT_EQ(refusal(update("p - g", of_gradient ? Layout() : kBlocks,
                             of_gradient ? kBlocks : Layout())),
              "a tensor's operands and results must share a layout, got aBcd8b and plain");
  }
  EXPECT_EQ(refusal(update("p - g + 1", kBlocks, kBlocks)),
            "the rule does not keep the padding of aBcd8b zero");
  EXPECT_EQ(refusal(update("p - exp(p > g)", kBlocks, kBlocks)), "exp of bool has no SIMD loop");
}

TEST(CpuRefusals, Pools) {
  Graph graph;
  const auto pool = [&](const Layout& from, const Layout& to) {
    const Value x =
        graph.placeholder("x" + std::to_string(graph.size()), {DType::f32, {2, 16, 4, 4}});
    return in_layout(ops::max_pool2d(in_layout(x, from)), to);
  };
  EXPECT_EQ(refusal(pool(kBlocks, kBlocks)), "");
  EXPECT_EQ(refusal(pool(kChannelsLast, kChannelsLast)),
            "takes plain layouts and blocks of 8 or 16 channels, got acdb");
  EXPECT_EQ(refusal(pool(kBlocks, {})),
            "operands and result must share a layout, got aBcd8b and plain");
}

TEST(CpuRefusals, RowsOfLogits) {
  Graph graph;
  const auto logits = [&](DType dtype) {
    return graph.placeholder("x" + std::to_string(graph.size()), {dtype, {4, 3}});
  };
  EXPECT_EQ(refusal(ops::log_softmax(logits(DType::f32), 1)), "");
  EXPECT_EQ(refusal(ops::log_softmax(logits(DType::f32), 0)), "takes the last axis, 1, got 0");
  EXPECT_EQ(refusal(ops::softmax(logits(DType::f64))), "rows are computed in f32, got f64");
}

TEST(CpuRefusals, SumsOverBatchSlices) {
  using Axes = std::vector<std::int64_t>;
  Graph graph;
  const auto total = [&](DType dtype) {
    const Value x = graph.placeholder("x" + std::to_string(graph.size()), {dtype, {4, 3}});
    return add_region(
        graph, {x},
        [](Graph&, const auto& arguments) { return std::vector{ops::sum(arguments[0], {0})}; },
        batch_slices_op(),
        {{"items", 2}, {"groups", 2}, {"operand_axes", Axes{0}}, {"result_axes", Axes{-1}}});
  };
  EXPECT_EQ(refusal(*total(DType::f64), "slices"), "");
  EXPECT_EQ(refusal(*total(DType::f16), "slices"), "adds up f32, f64, i32 and i64, got f16");
}

}  // namespace
}  // namespace ingot
