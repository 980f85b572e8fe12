#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ingot/base/trace.h"
#include "ingot/ir/verifier.h"
#include "ingot/passes/passes.h"
#include "tests/passes/support/fake_target.h"
#include "tests/passes/support/graphs.h"

namespace ingot {
namespace {

using testing_support::FakeTarget;

TensorType f32(Shape shape) { return {DType::f32, shape}; }

FakeTarget slicing_target() {
  FakeTarget target;
  target.slices = true;
  return target;
}

/// The pass on `graph`, which must not change what the Graph computes.
std::unique_ptr<Graph> sliced(const Graph& graph, const FakeTarget& target = slicing_target()) {
  PassContext context(target);
  auto result = batch_slices(graph, context);
  verify(*result, "batch_slices");
  const auto before = testing_support::evaluate_random(graph, 3);
  const auto after = testing_support::evaluate_random(*result, 3);
  EXPECT_EQ(before.fetches, after.fetches);
  EXPECT_EQ(before.assigned, after.assigned);
  return result;
}

std::vector<std::string> ops_of(const Node& region) {
  std::vector<std::string> names;
  for (const auto& node : region.body()->nodes()) {
    if (!node->op().traits.source) names.emplace_back(node->op().name);
  }
  return names;
}

using Names = std::vector<std::string>;
using Integers = std::vector<std::int64_t>;

TEST(BatchSlicesPass, ForwardAndBackwardShareARegion) {
  Graph graph;
  const Value x = graph.placeholder("x", f32({512, 512}));
  const Value w = graph.variable("w", f32({512, 16}), Initializer::constant(0.5));
  const Value y = ops::relu(ops::matmul(x, w));
  const Value loss = ops::sum(y * y, {});
  const Value grad = ops::matmul(x, y + y, true);
  graph.fetch("loss", loss);
  graph.assign(w, w - 0.1 * grad);
  const auto result = sliced(graph);
  const auto regions = result->nodes_of(batch_slices_op());
  ASSERT_EQ(regions.size(), 1u);
  const Node& region = *regions[0];
  EXPECT_EQ(ops_of(region), (Names{"matmul", "relu", "mul", "sum", "add", "matmul"}));
  EXPECT_EQ(region.integer("items"), 64);
  EXPECT_EQ(region.integer("groups"), 8);
  EXPECT_EQ(region.integers("operand_axes"), (Integers{0, -1}));
  EXPECT_EQ(region.integers("result_axes"), (Integers{-1, -1}));
}

TEST(BatchSlicesPass, WhatMixesTheItemsSplitsRegions) {
  Graph graph;
  const Value x = graph.placeholder("x", f32({16, 4096}));
  const Value a = ops::relu(x * x);
  const Value top = ops::reduce_max(a, {0}, true);
  graph.fetch("y", ops::relu(a - top) * x);
  const auto result = sliced(graph);
  const auto regions = result->nodes_of(batch_slices_op());
  ASSERT_EQ(regions.size(), 2u);
  EXPECT_EQ(ops_of(*regions[0]), (Names{"mul", "relu"}));
  EXPECT_EQ(regions[0]->integers("result_axes"), (Integers{0}));
  EXPECT_EQ(ops_of(*regions[1]), (Names{"sub", "relu", "mul"}));
  EXPECT_EQ(regions[1]->integers("operand_axes"), (Integers{0, -1, 0}));
}

TEST(BatchSlicesPass, ASumIsReadAfterItsRegion) {
  Graph graph;
  const Value x = graph.placeholder("x", f32({16, 4096}));
  const Value a = ops::relu(x * x);
  const Value total = ops::sum(a, {0}, true);
  graph.fetch("y", ops::relu(a * total) + x);
  const auto result = sliced(graph);
  const auto regions = result->nodes_of(batch_slices_op());
  ASSERT_EQ(regions.size(), 2u);
  EXPECT_EQ(ops_of(*regions[0]), (Names{"mul", "relu", "sum"}));
  EXPECT_EQ(ops_of(*regions[1]), (Names{"mul", "relu", "add"}));
}

TEST(BatchSlicesPass, ConstantsAndMasksAreSlicedAsTheRulesWant) {
  Graph graph;
  const Value x = graph.placeholder("x", f32({16, 4096}));
  const Value mask = graph.variable("mask", f32({16, 4096}), Initializer::uniform(0, 1));
  // As long as the batch, and yet no batch.
  const Value w = graph.variable("w", f32({4096, 16}), Initializer::uniform(-1, 1));
  const Value v = graph.variable("v", f32({16, 4096}), Initializer::uniform(-1, 1));
  graph.fetch("y", ops::matmul(ops::matmul(ops::relu(x * mask), w), v));
  FakeTarget target = slicing_target();
  target.cache_sizes.l2 = 4 << 20;
  const auto result = sliced(graph, target);
  const auto regions = result->nodes_of(batch_slices_op());
  ASSERT_EQ(regions.size(), 1u);
  EXPECT_EQ(regions[0]->integers("operand_axes"), (Integers{0, 0, -1, -1}));
}

TEST(BatchSlicesPass, AViewOfAResultIsMadeOutside) {
  Graph graph;
  const Value x = graph.placeholder("x", f32({16, 4096}));
  const Value y = ops::relu(x * x);
  const Value flat = ops::reshape(y, {16, 64, 64});
  graph.fetch("flat", flat);
  graph.fetch("sum", ops::sum(ops::relu(flat * flat), {0}));
  const auto result = sliced(graph);
  const auto regions = result->nodes_of(batch_slices_op());
  ASSERT_EQ(regions.size(), 1u);
  EXPECT_EQ(ops_of(*regions[0]), (Names{"mul", "relu", "reshape", "mul", "relu", "sum"}));
  EXPECT_EQ(regions[0]->integers("result_axes"), (Integers{0, -1}));
  EXPECT_EQ(result->find("reshape_0")->input(0).node(), regions[0]);
}

TEST(BatchSlicesPass, WhatIsBetterWholeStaysOutsideAndSaysWhy) {
  Graph graph;
  const Value x = graph.placeholder("x", f32({16, 8192}));
  const Value w = graph.variable("w", f32({8192, 64}), Initializer::constant(0.01));
  const Value y = ops::relu(x * x);
  const Value h = ops::relu(ops::matmul(y, w));
  graph.fetch("grad", ops::matmul(y, h + h, true));
  const TraceCapture capture("regions");
  const auto result = sliced(graph);
  const auto regions = result->nodes_of(batch_slices_op());
  ASSERT_EQ(regions.size(), 1u);
  EXPECT_EQ(ops_of(*regions[0]), (Names{"mul", "relu"}));
  EXPECT_EQ(
      capture.lines(),
      (std::vector<std::string>{
          "batch_slices: matmul \"matmul_0\" stays outside: weights of 2097152 bytes read 16 "
          "times, "
          "to keep 528384 bytes in the cache",
          "batch_slices: matmul \"matmul_1\" stays outside: 16 partial sums of 2097152 bytes, to "
          "read 528384 bytes once",
          "batch_slices: 2 kernels from \"mul_0\" on in 8 slices of 2: an item takes 64.0 KiB and "
          "its weights 0.0 KiB of the L2's 512 KiB; 1 results, 0 of them sums",
          "batch_slices: 2 kernels from \"relu_1\" on run one by one: too little work for calls of "
          "8 slices"}));
}

TEST(BatchSlicesPass, ItemsThatDoNotFitTheCacheRunWhole) {
  Graph graph;
  const Value x = graph.placeholder("x", f32({16, 16384}));
  graph.fetch("y", ops::relu(x * x));
  FakeTarget target = slicing_target();
  target.cache_sizes.l2 = 64 << 10;
  {
    const TraceCapture capture("regions");
    EXPECT_TRUE(sliced(graph, target)->nodes_of(batch_slices_op()).empty());
    EXPECT_EQ(capture.lines(), (std::vector<std::string>{
                                   "batch_slices: 2 kernels from \"mul_0\" on run one by one: an "
                                   "item takes 128.0 KiB and its weights 0.0 KiB of the L2's 64 "
                                   "KiB"}));
  }
  target.cache_sizes.l2 = 256 << 10;
  const auto result = sliced(graph, target);
  ASSERT_EQ(result->nodes_of(batch_slices_op()).size(), 1u);
  EXPECT_EQ(result->nodes_of(batch_slices_op())[0]->integer("items"), 1);
}

TEST(BatchSlicesPass, ArithmeticBoundNodesRunWhole) {
  Graph graph;
  const Value x = graph.placeholder("x", f32({64, 256}));
  const Value w = graph.variable("w", f32({256, 128}), Initializer::constant(0.01));
  const Value v = graph.variable("v", f32({128, 128}), Initializer::constant(0.01));
  graph.fetch("y", ops::matmul(ops::matmul(x, w), v));
  const TraceCapture capture("regions");
  EXPECT_TRUE(sliced(graph)->nodes_of(batch_slices_op()).empty());
  EXPECT_EQ(capture.lines(), (std::vector<std::string>{
                                 "batch_slices: 2 kernels from \"matmul_0\" on run one by one: "
                                 "64 flops for each byte saved"}));
}

TEST(BatchSlicesPass, NodesWithoutAKernelForSlicesStayOutside) {
  Graph graph;
  const Value x = graph.placeholder("x", f32({16, 4096}));
  graph.fetch("y", ops::relu(ops::exp(x * x)) * x);
  FakeTarget target = slicing_target();
  target.unsliced = {"exp"};
  const auto result = sliced(graph, target);
  const auto regions = result->nodes_of(batch_slices_op());
  ASSERT_EQ(regions.size(), 1u);
  EXPECT_EQ(ops_of(*regions[0]), (Names{"relu", "mul"}));
}

TEST(BatchSlicesPass, NothingHappensWithoutABatchOrAWish) {
  Graph graph;
  const Value x = graph.placeholder("x", f32({16, 4096}));
  graph.fetch("y", ops::relu(x * x));
  EXPECT_TRUE(sliced(graph, FakeTarget{})->nodes_of(batch_slices_op()).empty());
  Graph single;
  const Value one = single.placeholder("x", f32({1, 4096}));
  single.fetch("y", ops::relu(one * one));
  EXPECT_TRUE(sliced(single)->nodes_of(batch_slices_op()).empty());
}

}  // namespace
}  // namespace ingot
