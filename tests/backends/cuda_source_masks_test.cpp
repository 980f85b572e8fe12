// Masks of one bit an element in the CUDA backend's captured steps: who stores and reads them, and
// that they change no result. The emulated GPU runs them, too.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "ingot/ir/bits.h"
#include "ingot/ir/core_ops.h"
#include "ingot/nn/layers.h"
#include "ingot/nn/residual.h"
#include "ingot/ops/operators.h"
#include "tests/backends/support/cuda_source_steps.h"
#include "tests/backends/support/cuda_source_throughput.h"

namespace ingot::cuda {
namespace {

using testing_support::eighths;
using testing_support::low_precision_step;
using testing_support::lower;
using testing_support::throughput_backend;

const std::vector<std::string> kWithout{"store_masks"};

struct Mask {
  const Launch* maker = nullptr;
  std::vector<const Launch*> readers;
};

/// Slots of bits.
std::map<int, Mask> masks_of(const Program& program) {
  std::map<int, Mask> masks;
  const auto is_mask = [&](int slot) {
    return has_bits(program.slots[static_cast<std::size_t>(slot)].value.layout());
  };
  for (const Launch& launch : program.main) {
    for (const int slot : launch.outputs) {
      if (is_mask(slot)) masks[slot].maker = &launch;
    }
    for (const int slot : launch.inputs) {
      if (is_mask(slot)) masks[slot].readers.push_back(&launch);
    }
  }
  return masks;
}

std::int64_t bytes_moved(const Program& program) {
  std::int64_t bytes = 0;
  for (const Launch& launch : program.main) {
    for (const auto& slots : {launch.inputs, launch.outputs}) {
      for (const int slot : slots) {
        bytes += program.slots[static_cast<std::size_t>(slot)].bytes();
      }
    }
  }
  return bytes;
}

TEST(CudaMasks, TheBackwardPassDoesNotReadOutputsOfResidualBlocks) {
  CudaBackend backend(nullptr, GpuFacts{});
  const Graph step = low_precision_step("resnet18-cifar", 512);
  const Program program = lower(step, backend);
  const std::map<int, Mask> masks = masks_of(program);
  // One a block but for the last two of the eight: what is pooled is not stored, so the pass behind
  // it makes it from what it is made of.
  ASSERT_GE(masks.size(), 6u);
  std::int64_t outputs = 0;
  std::int64_t bits = 0;
  for (const auto& [slot, mask] : masks) {
    const Slot& own = program.slots[static_cast<std::size_t>(slot)];
    EXPECT_EQ(own.bytes() * 8, own.value.type().numel());
    bits += own.bytes();
    outputs += own.value.type().numel() * 2;
    ASSERT_NE(mask.maker, nullptr);
    ASSERT_FALSE(mask.readers.empty());
    for (const Launch* reader : mask.readers) {
      for (const int made : mask.maker->outputs) {
        if (made == slot) continue;
        EXPECT_EQ(std::ranges::count(reader->inputs, made), 0) << reader->node->name();
      }
    }
  }
  const Program without = lower(step, backend, kWithout);
  EXPECT_TRUE(masks_of(without).empty());
  // Each output is read once less at least, and its bits are written and read.
  EXPECT_GE(bytes_moved(without) - bytes_moved(program), outputs - 2 * bits);
}

/// A stem and four residual blocks of so many channels.
nn::Sequential blocks(std::int64_t channels) {
  nn::Sequential net(SourceLocation{});
  net.add("conv1", nn::Conv2d(3, channels, 3, {.padding = 1, .bias = false}))
      .add("bn1", nn::BatchNorm2d(channels))
      .add("relu", nn::ReLU())
      .add("block1", nn::BasicBlock(channels, channels, 1))
      .add("block2", nn::BasicBlock(channels, channels, 1))
      .add("block3", nn::BasicBlock(channels, channels, 1))
      .add("block4", nn::BasicBlock(channels, channels, 1))
      .add("avgpool", nn::AdaptiveAvgPool2d(1))
      .add("flatten", nn::Flatten())
      .add("fc", nn::Linear(channels, 10));
  return net;
}

/// Whether channels in memory do: 16 bits are padded to vectors of 8, 32 bits to vectors of 4.
bool fills_bytes(std::int64_t channels, bool is_f32) { return channels % 8 == 0 || !is_f32; }

TEST(CudaMasks, AreStoredForChannelsThatFillBytes) {
  CudaBackend backend(nullptr, GpuFacts{});
  for (const Precision precision : {Precision::tf32, Precision::bf16, Precision::f16}) {
    for (const std::int64_t channels : {8, 12, 24, 136}) {
      SCOPED_TRACE(fmt::format("{} {}", precision_name(precision), channels));
      // So many images that convolutions are a library's work, which masks nothing.
      const Graph step = low_precision_step(blocks(channels), {4096, 3, 32, 32}, precision, false);
      EXPECT_EQ(masks_of(lower(step, backend)).size(),
                fills_bytes(channels, precision == Precision::tf32) ? 3u : 0u);
    }
  }
}

/// A ReLU between two convolutions, forwards and backwards. What these give is read twice, so that
/// they neither add nor mask in their own kernels.
Graph masked_gradient(DType dtype, std::int64_t channels) {
  const Shape shape{4, channels, 6, 6};
  const Conv2dOptions options{.math = "tf32"};
  Graph graph;
  const auto feed = [&](std::string name, const Shape& of) {
    return ops::cast(graph.placeholder(std::move(name), {DType::f32, of}), dtype);
  };
  const Value w = feed("w", {16, channels, 1, 1});
  const Value x = ops::conv2d(feed("x", {4, 16, 6, 6}), feed("v", {channels, 16, 1, 1}), options);
  const Value bias =
      graph.variable("bias", {DType::f32, {1, channels, 1, 1}}, Initializer::constant(0.125));
  const Value y = ops::relu(x + ops::cast(bias, dtype));
  const Value g = ops::conv2d_input_grad(ops::conv2d(y, w, options), w, shape, options);
  graph.fetch("x", ops::sum(ops::cast(x, DType::f32), {0, 2, 3}));
  graph.fetch("g", ops::sum(ops::cast(ops::conv2d(g, w, options), DType::f32), {0, 2, 3}));
  const Value test = ops::elementwise("gt", {y, graph.scalar(0, dtype)});
  const Value masked = ops::cast(ops::select(test, g, graph.scalar(0, dtype)), DType::f32);
  graph.fetch("sums", ops::sum(masked, {0, 2, 3}));
  graph.fetch("squares", ops::sum(masked * masked, {0, 2, 3}));
  return graph;
}

/// Both to rounding, relative to the largest; `relative` 0: to the bit.
void expect_alike(const HostTensor& got, const HostTensor& want, double relative) {
  double largest = 0;
  for (const double value : want.to_doubles()) largest = std::max(largest, std::fabs(value));
  for (std::int64_t i = 0; i < want.type().numel(); ++i) {
    EXPECT_NEAR(got.view().get(i), want.view().get(i), relative * largest) << i;
  }
}

TEST(CudaDeviceMasks, ChangeNoResult) {
  const auto backend = throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "no GPU";
  const std::vector<float> x = eighths(4 * 16 * 36, 1);
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    for (const std::int64_t channels : {8, 12, 72}) {
      SCOPED_TRACE(fmt::format("{} {}", dtype_name(dtype), channels));
      const Graph graph = masked_gradient(dtype, channels);
      EXPECT_EQ(masks_of(lower(graph, *backend)).size(),
                fills_bytes(channels, dtype == DType::f32) ? 1u : 0u);
      const std::vector<float> v = eighths(16 * channels, 2);
      const std::vector<float> w = eighths(16 * channels, 3);
      const std::vector<Feed> feeds{{"x", x.data(), x.size() * sizeof(float)},
                                    {"v", v.data(), v.size() * sizeof(float)},
                                    {"w", w.data(), w.size() * sizeof(float)}};
      VariableStore with_store(backend, 1);
      VariableStore without_store(backend, 1);
      VariableStore reference_store(make_backend("reference"), 1);
      Executable with = compile(graph, with_store);
      Executable without = compile(graph, without_store, {.disabled_passes = kWithout});
      Executable reference = compile(graph, reference_store);
      for (Executable* exe : {&with, &without, &reference}) exe->run(feeds);
      for (const Fetch& fetch : graph.fetches()) {
        SCOPED_TRACE(fetch.name);
        const HostTensor got = with.fetched(fetch.name);
        // In f32 a thread takes four channels, but eight where bits are: sums run in another order.
        expect_alike(got, without.fetched(fetch.name), dtype == DType::f32 ? 1e-6 : 0);
        expect_alike(got, reference.fetched(fetch.name), 2e-2);
      }
    }
  }
}

}  // namespace
}  // namespace ingot::cuda
