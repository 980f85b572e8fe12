// What a GPU promises beyond right kernels (which the conformance suite looks at). Skips without
// one.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/engine/compile.h"
#include "ingot/memory/buffer.h"
#include "ingot/memory/staging_ring.h"
#include "ingot/nn/models/models.h"
#include "ingot/train/training_graph.h"
#include "tests/support/gpu_test.h"

namespace ingot {
namespace {

using testing_support::losses_of;

constexpr std::int64_t kBatch = 32;

Graph training_graph(std::string_view model) {
  const nn::ModelInfo& info = nn::find_model(model);
  const nn::ModelOptions& m = info.defaults;
  return train::build_train_graph(*info.make(m), {m.channels, m.height, m.width}, kBatch, {});
}

struct Batches {
  std::vector<float> x;
  std::vector<std::int32_t> y;
  std::size_t pixels;
  int count;

  Batches(std::string_view model, int batches) : count(batches) {
    const nn::ModelOptions& m = nn::find_model(model).defaults;
    pixels = static_cast<std::size_t>(kBatch * m.channels * m.height * m.width);
    x.resize(pixels * static_cast<std::size_t>(count));
    y.resize(static_cast<std::size_t>(kBatch * count));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 2.0f * philox_uniform(3, 0, 0, i) - 1.0f;
    for (std::size_t i = 0; i < y.size(); ++i) {
      y[i] = static_cast<std::int32_t>(
          philox_below(3, 1, 0, i, static_cast<std::uint64_t>(m.classes)));
    }
  }
  [[nodiscard]] std::vector<Feed> feeds(int b) const {
    const auto at = static_cast<std::size_t>(b);
    return {{"input", x.data() + at * pixels, pixels * sizeof(float)},
            {"target", y.data() + at * kBatch, kBatch * sizeof(std::int32_t)}};
  }
};

class CudaDevice : public testing_support::GpuTest {};

TEST_F(CudaDevice, TrainsAsTheReferenceDoes) {
  for (const char* model : {"seed-cnn", "mlp784"}) {
    SCOPED_TRACE(model);
    const Graph graph = training_graph(model);
    const Batches batches(model, 4);
    VariableStore here(backend_, 1);
    VariableStore there(make_backend("cpu"), 1);
    Executable exe = compile(graph, here);
    Executable judge = compile(graph, there);
    for (int step = 0; step < 40; ++step) {
      exe.step(batches.feeds(step % 4));
      judge.step(batches.feeds(step % 4));
    }
    const std::vector<double> got = losses_of(exe);
    const std::vector<double> want = losses_of(judge);
    ASSERT_EQ(got.size(), 40u);
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_NEAR(got[i], want[i], 2e-4 * want[i]) << "step " << i;
    }
    EXPECT_NE(got.front(), got.back());
  }
}

TEST_F(CudaDevice, ManyStepsInOneCallAreTheSameSteps) {
  const Graph graph = training_graph("seed-cnn");
  const Batches batches("seed-cnn", 8);
  VariableStore one_store(backend_, 1);
  VariableStore many_store(backend_, 1);
  Executable one = compile(graph, one_store);
  Executable many = compile(graph, many_store);
  for (int step = 0; step < 8; ++step) one.step(batches.feeds(step));
  many.run_steps(8, {{"input", batches.x.data(), batches.x.size() * sizeof(float)},
                     {"target", batches.y.data(), batches.y.size() * sizeof(std::int32_t)}});
  EXPECT_EQ(losses_of(one), losses_of(many));
  for (const Segment* segment : one_store.segments()) {
    EXPECT_EQ(one_store.read(segment->name), many_store.read(segment->name)) << segment->name;
  }
}

TEST_F(CudaDevice, ReadsFeedsInDeviceMemory) {
  const Graph graph = training_graph("mlp784");
  const Batches batches("mlp784", 1);
  VariableStore host_store(backend_, 1);
  VariableStore device_store(backend_, 1);
  Executable host = compile(graph, host_store);
  Executable device = compile(graph, device_store);
  host.step(batches.feeds(0));
  std::vector<Buffer> buffers;
  std::vector<Feed> feeds = batches.feeds(0);
  for (Feed& feed : feeds) {
    // Larger than needed, as a pool's buffers are.
    buffers.push_back(Buffer::allocate(backend_->device(), feed.bytes + 4096, feed.name));
    backend_->device()->copy_to_device(buffers.back().data(), feed.data, feed.bytes);
    feed = {feed.name, buffers.back().data(), feed.bytes + 4096, {}, true};
  }
  device.step(feeds);
  EXPECT_EQ(losses_of(host), losses_of(device));
}

TEST_F(CudaDevice, TwoRunsFromOneSeedAreEqualToTheBit) {
  const Graph graph = training_graph("gometal-cnn");
  const Batches batches("gometal-cnn", 4);
  std::vector<HostTensor> weights[2];
  for (auto& kept : weights) {
    VariableStore store(backend_, 5);
    Executable exe = compile(graph, store);
    for (int step = 0; step < 100; ++step) exe.step(batches.feeds(step % 4));
    exe.wait();
    for (const Segment* segment : store.segments()) kept.push_back(store.read(segment->name));
  }
  EXPECT_EQ(weights[0], weights[1]);
}

TEST_F(CudaDevice, StreamsKeepTheirOrderAndEventsSayWhenItIsDone) {
  const std::shared_ptr<Device> device = backend_->device();
  const std::shared_ptr<Stream> first = device->create_stream();
  const std::shared_ptr<Stream> second = device->create_stream();
  constexpr std::size_t kBytes = 1 << 20;
  Buffer one = Buffer::allocate(device, kBytes, "one");
  Buffer two = Buffer::allocate(device, kBytes, "two");
  // Slots of memory that the device copies from and to by itself.
  StagingRing ring(device, 2, kBytes, StagingRing::Reclaim::automatic);
  const StagingRing::Slot from = ring.acquire();
  const StagingRing::Slot to = ring.acquire();
  EXPECT_FALSE(ring.try_acquire());
  std::ranges::fill(from.bytes, std::byte{3});
  first->copy_to_device(one.data(), from.bytes.data(), kBytes);
  first->fill(one.data(), std::byte{5}, kBytes / 2);
  const Event written = first->record();
  ring.submit(from, written);
  second->wait_for(written);
  second->copy_on_device(two.data(), one.data(), kBytes);
  second->copy_to_host(to.bytes.data(), two.data(), kBytes);
  std::atomic<bool> called{false};
  second->call_on_host([](void* flag) noexcept { *static_cast<std::atomic<bool>*>(flag) = true; },
                       &called);
  const Event read = second->record();
  read.wait();
  EXPECT_TRUE(read.done());
  EXPECT_TRUE(written.done());
  EXPECT_TRUE(called);
  EXPECT_EQ(to.bytes.front(), std::byte{5});
  EXPECT_EQ(to.bytes.back(), std::byte{3});
  ring.submit(to, read);
  EXPECT_EQ(ring.acquire().index, from.index);
}

TEST_F(CudaDevice, BrokenDataCallsOffTheStepAndThoseAfterIt) {
  const Graph graph = training_graph("seed-cnn");
  Batches batches("seed-cnn", 3);
  batches.y[kBatch + 3] = 7;  // step 1
  VariableStore store(backend_, 1);
  VariableStore one_step(backend_, 1);
  Executable exe = compile(graph, store);
  Executable judge = compile(graph, one_step);
  judge.step(batches.feeds(0));
  for (int step = 0; step < 3; ++step) exe.step(batches.feeds(step));
  try {
    exe.wait();
    ADD_FAILURE() << "no error for a label out of range";
  } catch (const Error& error) {
    EXPECT_EQ(
        error.message(),
        "cross_entropy \"cross_entropy_0\": labels must be at least 0 and below the number of "
        "classes, got 7 at element 3");
    EXPECT_NE(std::string(error.what()).find("in step 1; no variable was changed"),
              std::string::npos)
        << error.what();
  }
  EXPECT_EQ(exe.steps_run(), 1);
  for (const Segment* segment : one_step.segments()) {
    EXPECT_EQ(store.read(segment->name), one_step.read(segment->name)) << segment->name;
  }
  // It goes on.
  batches.y[kBatch + 3] = 1;
  exe.step(batches.feeds(1));
  EXPECT_EQ(losses_of(exe).size(), 2u);
}

TEST_F(CudaDevice, ALossThatIsNotFiniteChangesNothing) {
  const Graph graph = training_graph("mlp784");
  Batches batches("mlp784", 1);
  batches.x[5] = std::numeric_limits<float>::quiet_NaN();
  VariableStore store(backend_, 1);
  VariableStore fresh(backend_, 1);
  Executable exe = compile(graph, store);
  Executable untouched = compile(graph, fresh);
  exe.step(batches.feeds(0));
  try {
    exe.wait();
    ADD_FAILURE() << "no error for a loss of nan";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::numerics) << error.what();
    EXPECT_EQ(error.message(), "fetch \"loss\": value must be finite, got nan");
  }
  for (const Segment* segment : fresh.segments()) {
    EXPECT_EQ(store.read(segment->name), fresh.read(segment->name)) << segment->name;
  }
}

}  // namespace
}  // namespace ingot
