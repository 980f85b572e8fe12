// Why the CPU's kernels refuse fused Regions. The passes ask can_fuse first, whose answers stand in
// epilogue_test.cpp and fused_test.cpp; a Region from elsewhere may be any.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/candidates.h"
#include "tests/backends/support/regions.h"

namespace ingot {
namespace {

const CpuBackend& backend() {
  static const CpuBackend cpu({.threads = 1});
  return cpu;
}

using Values = std::vector<Value>;

struct Operand {
  Shape shape;
  Layout layout = {};
  DType dtype = DType::f32;
};

/// Why the candidate refuses a Region over these operands: build(arguments) makes its results.
template <class Build>
std::string refusal(std::string_view candidate, const std::vector<Operand>& operands,
                    const Build& build) {
  Graph graph;
  Values values;
  for (const Operand& operand : operands) {
    const Value value =
        graph.placeholder("x" + std::to_string(values.size()), {operand.dtype, operand.shape});
    values.push_back(in_layout(value, operand.layout));
  }
  const Node& region =
      *add_region(graph, values, [&](Graph&, const Values& arguments) { return build(arguments); });
  return candidate_support(backend(), region, candidate).reason;
}

Values relu(const Values& x) { return {ops::relu(x[0])}; }

const Layout kBlocks = Layout::channels_blocked(8);
const Layout kWideBlocks = Layout::channels_blocked(16);

TEST(CpuRegionRefusals, EpiloguesOfOtherThanAProducersResult) {
  const auto of = [](const std::vector<Operand>& operands, const auto& build) {
    return refusal("epilogue", operands, build);
  };
  EXPECT_EQ(of({{{4, 3}}}, relu), "no convolution or product to follow");
  EXPECT_EQ(of({{{4, 3}}, {{3, 5}}},
               [](const Values& x) { return Values{ops::matmul(ops::relu(x[0]), x[1])}; }),
            "matmul must read the Region's operands, got a result of relu");
  EXPECT_EQ(of({{{4, 3}}, {{3, 5}}},
               [](const Values& x) { return Values{ops::sum(ops::matmul(x[0], x[1]), {0})}; }),
            "an epilogue takes no reductions");
  EXPECT_EQ(of({{{4, 3}}, {{3, 5}}, {{2, 4, 5}}},
               [](const Values& x) { return Values{ops::matmul(x[0], x[1]) + x[2]}; }),
            "an epilogue has its producer's shape and layout, "
            "got [2,4,5] in plain for [4,5] in plain");
}

TEST(CpuRegionRefusals, EpiloguesInOtherLayoutsThanTheirProducers) {
  const auto of = [](std::int64_t channels, const Layout& made, const Layout& result) {
    const std::vector<Operand> operands{{{1, channels, 4, 4}}, {{channels, channels, 1, 1}}};
    return refusal("epilogue", operands, [&](const Values& x) {
      return Values{in_layout(ops::relu(in_layout(ops::conv2d(x[0], x[1]), made)), result)};
    });
  };
  EXPECT_EQ(of(16, {}, {}), "");
  EXPECT_EQ(of(16, {}, kBlocks),
            "an epilogue has its producer's shape and layout, "
            "got [1,16,4,4] in aBcd8b for [1,16,4,4] in plain");
  EXPECT_EQ(of(20, kBlocks, kBlocks), "takes no padded layouts, got aBcd8b for [1,20,4,4]");
  EXPECT_EQ(of(16, kBlocks, kWideBlocks), "operand in aBcd8b cannot be read along aBcd16b");
}

TEST(CpuRegionRefusals, EpiloguesOfProducersThatNoKernelMakes) {
  EXPECT_EQ(refusal("epilogue", {{{4, 3}, {}, DType::f16}, {{3, 5}, {}, DType::f16}},
                    [](const Values& x) { return Values{ops::relu(ops::matmul(x[0], x[1]))}; }),
            "direct: takes f32 and f64, got f16; panels: takes f32 and f64, got f16");
}

TEST(CpuRegionRefusals, BodiesThatAreNoElementwiseChain) {
  const auto of = [](const std::vector<Operand>& operands, const auto& build) {
    return refusal("simd", operands, build);
  };
  EXPECT_EQ(of({{{4, 3}}}, [](const Values& x) { return Values{ops::reshape(x[0], {12})}; }),
            "reshape is neither elementwise nor a reduction");
  EXPECT_EQ(of({{{4, 3}}}, [](const Values& x) { return Values{ops::exp(ops::sum(x[0], {1}))}; }),
            "reads a result of the reduction sum");
  EXPECT_EQ(
      of({{{4, 3}}},
         [](const Values& x) { return Values{x[0] + x[0].graph().full({DType::f32, {3}}, 2.0)}; }),
      "takes constants of one element, got f32[3]");
  EXPECT_EQ(of({{{4, 3}}},
               [](const Values& x) { return Values{ops::sum(x[0], {0}), ops::sum(x[0], {1})}; }),
            "its reductions differ in shape or axes");
  EXPECT_EQ(of({{{1, 3}}, {{4, 3}}},
               [](const Values& x) {
                 const Value y = ops::relu(x[0]);
                 return Values{ops::sum(y, {1}), y + x[1]};
               }),
            "what is reduced is also broadcast");
}

TEST(CpuRegionRefusals, ChainsInLayoutsThatDoNotMatch) {
  const auto of = [](const Shape& shape, const Layout& layout, const auto& build) {
    return refusal("simd", {{shape, layout}}, build);
  };
  const Shape full{1, 16, 2, 2};
  EXPECT_EQ(of(full, kBlocks,
               [](const Values& x) {
                 return Values{in_layout(ops::relu(x[0]), kBlocks), ops::exp(x[0])};
               }),
            "results of one shape must share a layout, got aBcd8b and plain");
  EXPECT_EQ(of(full, kBlocks,
               [](const Values& x) { return Values{in_layout(ops::relu(x[0]), kWideBlocks)}; }),
            "operand in aBcd8b cannot be read along aBcd16b");
  const auto top = [](const Values& x) { return Values{ops::reduce_max(x[0], {1})}; };
  EXPECT_EQ(of(full, kBlocks, top), "");
  EXPECT_EQ(of({1, 20, 2, 2}, kBlocks, top),
            "takes no padding along reduced axes, got aBcd8b for [1,20,2,2]");
}

TEST(CpuRegionRefusals, ChainsOfTooManyOperands) {
  EXPECT_EQ(refusal("simd", std::vector<Operand>(33, {{4}}),
                    [](const Values& x) {
                      Value total = x[0];
                      for (std::size_t i = 1; i < x.size(); ++i) total = total + x[i];
                      return Values{total};
                    }),
            "takes up to 96 values, 32 operands and 16 results, got 65, 33 and 1");
}

TEST(CpuRegionRefusals, LossesWithoutTheirGradients) {
  const auto of = [](DType dtype, const auto& build) {
    return refusal("simd-rows", {{{4, 3}, {}, dtype}, {{4}, {}, DType::i32}, {{4}, {}, dtype}},
                   build);
  };
  const auto pair = [](const Values& x) {
    const AttrList attrs{{"label_smoothing", 0.0}};
    return Values{ops::cross_entropy(x[0], x[1]),
                  x[0].graph().add(cross_entropy_grad_op(), x, attrs)->output()};
  };
  EXPECT_EQ(of(DType::f32, pair), "");
  EXPECT_EQ(of(DType::f64, pair), "rows are computed in f32, got f64");
  EXPECT_EQ(of(DType::f32, relu),
            "takes 2 Nodes and 2 results, a loss and its gradient, got 1 and 1");
  EXPECT_EQ(of(DType::f32, [](const Values& x) { return Values{ops::exp(x[0]), ops::relu(x[0])}; }),
            "takes a loss and its gradient, got exp and relu");
}

TEST(CpuRegionRefusals, PoolsOfWhatIsMadeElsewhere) {
  const auto of = [](std::int64_t channels, const Layout& made, const Layout& pooled) {
    return refusal("pooled", {{{1, channels, 4, 4}, made}}, [&](const Values& x) {
      return Values{in_layout(ops::max_pool2d(in_layout(ops::relu(x[0]), made)), pooled)};
    });
  };
  EXPECT_EQ(of(16, kBlocks, kBlocks), "");
  EXPECT_EQ(of(20, kBlocks, kBlocks), "takes no padded layouts, got aBcd8b for [1,20,4,4]");
  EXPECT_EQ(of(16, kBlocks, {}), "operands and result must share a layout, got aBcd8b and plain");
  EXPECT_EQ(of(16, kBlocks, Layout::channels_blocked(4)),
            "takes plain layouts and blocks of 8 or 16 channels, got aBcd4b");
  EXPECT_EQ(refusal("pooled", {{{1, 16, 4, 4}}}, relu),
            "takes a Node and the pool that reads its result");
  EXPECT_EQ(refusal("pooled", {{{16, 1, 4, 4}}},
                    [](const Values& x) {
                      return Values{ops::max_pool2d(ops::transpose(x[0], {1, 0, 2, 3}))};
                    }),
            "transpose makes no images in parts");
}

TEST(CpuRegionRefusals, PoolsOfImagesThatLeaveTheCache) {
  const auto of = [](bool stores) {
    return refusal("pooled", {{{1, 1, 16384, 16384}}, {{1, 1, 1, 1}}}, [&](const Values& x) {
      const Value image = ops::conv2d(x[0], x[1]);
      const Value pooled = ops::max_pool2d(image);
      return stores ? Values{image, pooled} : Values{pooled};
    });
  };
  const CacheSizes caches = backend().caches();
  EXPECT_EQ(of(false), fmt::format("an image of 1048576.0 KiB leaves the cache: more than {} KiB",
                                   caches.l3 / 8 >> 10));
  EXPECT_EQ(of(true), fmt::format("an image of 1048576.0 KiB, stored besides, leaves the cache: "
                                  "more than {} KiB",
                                  caches.l2 / 2 >> 10));
}

}  // namespace
}  // namespace ingot
