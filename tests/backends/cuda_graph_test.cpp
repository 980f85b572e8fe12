// Steps of many kernels, which a GPU runs as a captured graph. Skips without one.
#include <gtest/gtest.h>

#include <vector>

#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/engine/compile.h"
#include "ingot/memory/buffer.h"
#include "ingot/nn/layers.h"
#include "ingot/train/training_graph.h"
#include "tests/support/gpu_test.h"

namespace ingot {
namespace {

using testing_support::losses_of;

constexpr std::int64_t kBatch = 4;
constexpr std::size_t kPixels = 12;
constexpr int kLayers = 64;  // more stages than one kernel is made of

/// Many small products, one after the other; all that their weights' gradients wait for is the end.
Graph deep_graph() {
  nn::Sequential net;
  net.add(nn::Flatten());
  net.add(nn::Linear(static_cast<std::int64_t>(kPixels), 8));
  for (int layer = 0; layer < kLayers; ++layer) net.add(nn::Linear(8, 8));
  net.add(nn::Linear(8, 4));
  return train::build_train_graph(net, {3, 2, 2}, kBatch, {});
}

struct Batches {
  std::vector<float> x;
  std::vector<std::int32_t> y;

  explicit Batches(std::size_t count) : x(count * kBatch * kPixels), y(count * kBatch) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 2.0f * philox_uniform(3, 0, 0, i) - 1.0f;
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = static_cast<std::int32_t>(i % 4);
  }
  [[nodiscard]] std::vector<Feed> feeds(std::size_t b) const {
    return {{"input", x.data() + b * kBatch * kPixels, kBatch * kPixels * sizeof(float)},
            {"target", y.data() + b * kBatch, kBatch * sizeof(std::int32_t)}};
  }
};

class CudaDeviceGraph : public testing_support::GpuTest {};

TEST_F(CudaDeviceGraph, TrainsAsTheCpuDoes) {
  const Graph graph = deep_graph();
  const Batches batches(4);
  VariableStore here(backend_, 1);
  VariableStore there(make_backend("cpu"), 1);
  Executable exe = compile(graph, here);
  Executable judge = compile(graph, there);
  for (std::size_t step = 0; step < 12; ++step) {
    exe.step(batches.feeds(step % 4));
    judge.step(batches.feeds(step % 4));
  }
  const std::vector<double> got = losses_of(exe);
  const std::vector<double> want = losses_of(judge);
  ASSERT_EQ(got.size(), 12u);
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], 2e-5 * want[i]) << "step " << i;
  }
  EXPECT_NE(got.front(), got.back());
}

TEST_F(CudaDeviceGraph, FeedsMayMoveAndLieAnywhere) {
  const Graph graph = deep_graph();
  const Batches batches(4);
  VariableStore host_store(backend_, 1);
  VariableStore device_store(backend_, 1);
  VariableStore many_store(backend_, 1);
  Executable host = compile(graph, host_store);
  Executable device = compile(graph, device_store);
  Executable many = compile(graph, many_store);
  std::vector<Buffer> buffers;
  for (std::size_t step = 0; step < 4; ++step) {
    std::vector<Feed> feeds = batches.feeds(step);
    host.step(feeds);
    // One of them from the host: both ways in one step.
    Feed& input = feeds.front();
    buffers.push_back(Buffer::allocate(backend_->device(), input.bytes, input.name));
    backend_->device()->copy_to_device(buffers.back().data(), input.data, input.bytes);
    input = {input.name, buffers.back().data(), input.bytes, {}, true};
    device.step(feeds);
  }
  many.run_steps(4, {{"input", batches.x.data(), batches.x.size() * sizeof(float)},
                     {"target", batches.y.data(), batches.y.size() * sizeof(std::int32_t)}});
  const std::vector<double> want = losses_of(host);
  EXPECT_EQ(want.size(), 4u);
  EXPECT_EQ(losses_of(device), want);
  EXPECT_EQ(losses_of(many), want);
  for (const Segment* segment : host_store.segments()) {
    EXPECT_EQ(host_store.read(segment->name), device_store.read(segment->name)) << segment->name;
    EXPECT_EQ(host_store.read(segment->name), many_store.read(segment->name)) << segment->name;
  }
}

TEST_F(CudaDeviceGraph, BrokenDataChangesNothing) {
  Batches batches(2);
  batches.y[kBatch + 1] = 9;
  const Graph graph = deep_graph();
  VariableStore store(backend_, 1);
  VariableStore one_step(backend_, 1);
  Executable exe = compile(graph, store);
  Executable judge = compile(graph, one_step);
  judge.step(batches.feeds(0));
  judge.wait();
  exe.step(batches.feeds(0));
  exe.step(batches.feeds(1));
  EXPECT_THROW(exe.wait(), Error);
  EXPECT_EQ(exe.steps_run(), 1);
  for (const Segment* segment : one_step.segments()) {
    EXPECT_EQ(store.read(segment->name), one_step.read(segment->name)) << segment->name;
  }
}

}  // namespace
}  // namespace ingot
