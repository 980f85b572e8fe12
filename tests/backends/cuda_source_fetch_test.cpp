// A batch fetched from a data set on the device: one kernel gathers, moves, normalises and lays out
// the images, another the labels.
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ingot/base/philox.h"
#include "ingot/engine/compile.h"
#include "ingot/ir/op_def.h"
#include "ingot/nn/models/models.h"
#include "ingot/nn/resident_source.h"
#include "ingot/ops/conv2d_shape.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"
#include "ingot/train/training_graph.h"
#include "tests/backends/support/cuda_source_throughput.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using testing_support::throughput_backend;

constexpr std::int64_t kSamples = 13;

nn::ResidentSource source_of(DType dtype, bool moves) {
  return {.images = {dtype, {kSamples, 3, 6, 10}},
          .batch = 4,
          .mean = {0.25F, 0.5F, 0.125F},
          .stddev = {0.5F, 0.75F, 1.5F},
          .moves = moves};
}

/// The batch as it is, and in bf16 with channels innermost: a convolution of one tap hands each
/// channel on as it came.
Graph fetched_batch(const nn::ResidentSource& source) {
  Graph graph;
  nn::ForwardContext context(graph, true);
  const nn::ResidentBatch batch = nn::next_batch(context, source);
  HostTensor taps({DType::f32, {8, 3, 1, 1}});
  for (std::int64_t k = 0; k < 8; ++k) taps.view().set(3 * k + k % 3, 1.0);
  const Value weights = ops::cast(graph.constant(taps, {}), DType::bf16, {});
  const Value y = ops::conv2d(ops::cast(batch.images, DType::bf16, {}), weights, {}, {});
  graph.fetch("channels", ops::cast(y, DType::f32, {}));
  graph.fetch("labels", batch.labels);
  return graph;
}

/// The same without the convolution.
Graph plain_batch(const nn::ResidentSource& source) {
  Graph graph;
  nn::ForwardContext context(graph, true);
  const nn::ResidentBatch batch = nn::next_batch(context, source);
  graph.fetch("images", batch.images);
  graph.fetch("labels", batch.labels);
  return graph;
}

HostTensor integers(const Shape& shape, std::uint32_t stream, std::int64_t low, std::int64_t high) {
  HostTensor tensor({DType::i32, shape});
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    const auto span = static_cast<std::uint32_t>(high - low + 1);
    const auto drawn = philox_below(3, stream, 0, static_cast<std::uint64_t>(i), span);
    tensor.view().set(i, static_cast<double>(low + static_cast<std::int64_t>(drawn)));
  }
  return tensor;
}

void write_data(VariableStore& store, const nn::ResidentSource& source) {
  HostTensor images(source.images);
  for (std::int64_t i = 0; i < images.type().numel(); ++i) {
    const double byte = philox_below(5, 1, 0, static_cast<std::uint64_t>(i), 256);
    images.view().set(i, source.images.dtype == DType::u8 ? byte : byte / 255.0);
  }
  store.write(nn::kResidentImages, images);
  store.write(nn::kResidentLabels, integers({kSamples}, 2, 0, 9));
  HostTensor order({DType::i32, {kSamples}});
  for (std::int64_t i = 0; i < kSamples; ++i) order.view().set(i, 5 * i % kSamples);
  store.write(nn::kResidentOrder, order);
  if (!source.moves) return;
  // Some images are moved out of sight.
  HostTensor moves = integers({kSamples, 3}, 4, -2, 2);
  for (std::int64_t i = 0; i < kSamples; ++i)
    moves.view().set(3 * i + 2, static_cast<double>(i % 2));
  moves.view().set(0, 7);
  moves.view().set(3 * 5 + 1, -11);
  store.write(nn::kResidentMoves, moves);
}

TEST(CudaFetch, AResidentStepBeginsWithOneKernelForItsImages) {
  const nn::ModelInfo& info = nn::find_model("resnet18-cifar");
  for (const DType dtype : {DType::u8, DType::f32}) {
    for (const bool moves : {true, false}) {
      SCOPED_TRACE(fmt::format("{}, moves {}", TensorType{dtype, {}}.to_string(), moves));
      const nn::ResidentSource source{.images = {dtype, {50000, 3, 32, 32}},
                                      .batch = 512,
                                      .mean = {0.5F, 0.5F, 0.5F},
                                      .stddev = {0.25F, 0.25F, 0.25F},
                                      .moves = moves};
      const cuda::CudaBackend backend(nullptr, cuda::GpuFacts{});
      PassContext context(backend);
      const Graph step = train::build_resident_train_graph(*info.make(info.defaults), source,
                                                           {.precision = Precision::bf16});
      const auto lowered = run_passes(step, pass_list(), {}, context);
      ASSERT_EQ(context.form, StepForm::throughput);
      const Node* convolution = nullptr;
      int fetches = 0;
      for (const auto& node : lowered->nodes()) {
        EXPECT_NE(&node->op(), &gather_op());
        EXPECT_NE(&node->op(), &crop_flip_op());
        for (const Value& input : node->inputs()) {
          const bool data = input.node()->name() == nn::kResidentImages ||
                            input.node()->name() == nn::kResidentLabels;
          fetches += data ? 1 : 0;
        }
        const bool first = convolution == nullptr && node->inputs().size() >= 2 &&
                           conv2d_operands(node->op()).has_value();
        if (first) convolution = node.get();
      }
      EXPECT_EQ(fetches, 2);
      ASSERT_NE(convolution, nullptr);
      const Value images = convolution->input(0);
      EXPECT_EQ(images.type().to_string(), "bf16[512,3,32,32]");
      EXPECT_FALSE(images.layout().is_plain());
      bool reads_data = false;
      for (const Value& input : images.node()->inputs()) {
        EXPECT_TRUE(input.node()->op().traits.source) << input.node()->name();
        reads_data |= input.node()->name() == nn::kResidentImages;
      }
      EXPECT_TRUE(reads_data);
    }
  }
}

TEST(CudaFetch, ImagesAndLabelsAreAKernelEach) {
  const std::vector<std::string> kernels =
      testing_support::throughput_kernels(fetched_batch(source_of(DType::u8, true)));
  const std::vector<std::string> first{"gather map of fused", "gather map of fused",
                                       "mma of conv2d"};
  ASSERT_GE(kernels.size(), first.size());
  EXPECT_TRUE(std::ranges::equal(first, std::span(kernels).first(first.size())))
      << fmt::format("{}", fmt::join(kernels, ", "));
}

TEST(CudaFetch, GivesWhatTheReferenceGives) {
  const auto backend = throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "without a GPU";
  for (const DType dtype : {DType::u8, DType::f32}) {
    for (const bool moves : {true, false}) {
      nn::ResidentSource source = source_of(dtype, moves);
      source.stride = moves ? 5 : 0;
      for (const bool plain : {false, true}) {
        SCOPED_TRACE(fmt::format("{} {} {}", source.images.to_string(), moves, plain));
        const Graph graph = plain ? plain_batch(source) : fetched_batch(source);
        VariableStore here(backend, 1);
        VariableStore there(make_backend("reference"), 1);
        Executable exe = compile(graph, here);
        Executable judge = compile(graph, there);
        write_data(here, source);
        write_data(there, source);
        for (int step = 0; step < 2; ++step) {
          exe.run_steps(1, {});
          judge.run_steps(1, {});
          for (const Fetch& fetch : graph.fetches()) {
            EXPECT_EQ(exe.fetched(fetch.name), judge.fetched(fetch.name)) << fetch.name;
          }
        }
      }
    }
  }
}

/// What a step says of broken data, on the device and on the reference.
void expect_broken(const std::shared_ptr<cuda::CudaBackend>& backend, const Graph& graph,
                   const nn::ResidentSource& source, int good_steps, std::int64_t bad_sample,
                   const std::string& text) {
  for (const bool reference : {true, false}) {
    SCOPED_TRACE(reference ? "reference" : "cuda");
    VariableStore store(reference ? make_backend("reference") : backend, 1);
    Executable exe = compile(graph, store);
    write_data(store, source);
    if (bad_sample != 0) {
      HostTensor order = store.read(nn::kResidentOrder);
      order.view().set(2, static_cast<double>(bad_sample));
      store.write(nn::kResidentOrder, order);
    }
    if (good_steps > 0) exe.run_steps(good_steps, {});
    exe.wait();
    const std::string said = testing_support::error_of([&] {
      exe.run_steps(1, {});
      exe.wait();
    });
    EXPECT_EQ(said.substr(0, said.find('\n')), text);
    EXPECT_EQ(store.read(nn::kResidentBatch).view().get_int(0), good_steps);
  }
}

TEST(CudaFetch, SaysWhichIndexIsOutOfRange) {
  const auto backend = throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "without a GPU";
  for (const bool moves : {true, false}) {
    SCOPED_TRACE(moves);
    nn::ResidentSource source = source_of(DType::u8, moves);
    for (const bool plain : {false, true}) {
      SCOPED_TRACE(plain);
      const Graph graph = plain ? plain_batch(source) : fetched_batch(source);
      // The third batch of 4 ends at sample 12, the fourth begins with the last one.
      expect_broken(backend, graph, source, 3, 0,
                    "gather \"gather_0\": indices must be at least 0 and below the axis's size, "
                    "got 13 at element 1");
      for (const std::int64_t sample : {kSamples, std::int64_t{-1}}) {
        expect_broken(backend, graph, source, 0, sample,
                      fmt::format("gather \"gather_1\": indices must be at least 0 and below the "
                                  "axis's size, got {} at element 2",
                                  sample));
      }
    }
  }
}

/// Every index counts, whether or not what it names is seen.
TEST(CudaFetch, ChecksIndicesOfWhatIsMovedOutOfSight) {
  const auto backend = throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "without a GPU";
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {5, 2, 4, 4}}, {});
  const Value at = graph.placeholder("at", {DType::i32, {3}}, {});
  const Value moves = graph.placeholder("moves", {DType::i32, {3, 3}}, {});
  graph.fetch("y", ops::crop_flip(ops::gather(x, at + 1.0, 0, {}), moves, {}));
  EXPECT_EQ(testing_support::throughput_kernels(graph),
            std::vector<std::string>{"gather map of fused"});
  VariableStore store(backend, 1);
  Executable exe = compile(graph, store);
  const std::vector<float> pixels(5 * 2 * 4 * 4, 1.0F);
  const std::vector<std::int32_t> amounts{4, 0, 0, 4, 0, 0, 4, 0, 0};
  const std::vector<std::int32_t> rows{3, 4, -1};
  const std::string said = testing_support::error_of([&] {
    exe.run(std::vector<Feed>{{"x", pixels.data(), pixels.size() * 4},
                              {"at", rows.data(), rows.size() * 4},
                              {"moves", amounts.data(), amounts.size() * 4}});
    exe.wait();
  });
  EXPECT_EQ(said.substr(0, said.find('\n')),
            "gather \"gather_0\": indices must be at least 0 and below the axis's size, got 5 at "
            "element 1");
}

TEST(CudaFetch, AGatherIsNotTakenByWhatDropsSomeOfIt) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {5, 2, 4, 4}}, {});
  const Value at = graph.placeholder("at", {DType::i32, {3}}, {});
  const Value some =
      ops::slice(ops::gather(x, at, 0, {}), {1, 0, 0, 0}, {3, 2, 4, 4}, {1, 1, 1, 1}, {});
  graph.fetch("sliced", ops::pad(some, {{1, 0, 0, 0}, {0, 0, 0, 0}, {}}, 0.0, {}));
  const std::vector<std::string> kernels = testing_support::throughput_kernels(graph);
  EXPECT_EQ(std::ranges::count(kernels, "map of gather"), 1);
}

}  // namespace
}  // namespace ingot
