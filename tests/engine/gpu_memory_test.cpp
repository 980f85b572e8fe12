// Every byte that steps on a GPU allocate is planned before the first, in both forms of a step. On
// a real GPU or on the emulated one (tests/emulator); skips without either.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/engine/compile.h"
#include "ingot/ir/core_ops.h"
#include "ingot/memory/buffer.h"
#include "ingot/nn/models/models.h"
#include "ingot/nn/resident_source.h"
#include "ingot/train/training_graph.h"
#include "tests/engine/support/device_memory.h"
#include "tests/passes/support/resnet.h"
#include "tests/support/gpu_test.h"

namespace ingot {
namespace {

using testing_support::allocated_bytes;
using testing_support::planned_bytes;

/// Zeros for a training step of any Graph, on the host or on the device.
class Zeros {
 public:
  Zeros(const Executable& exe, const std::shared_ptr<Device>& device, const FeedPlace& place)
      : place_(place) {
    for (const Node* node : exe.lowered().nodes_of(placeholder_op())) {
      names_.push_back(node->name());
      bytes_.push_back(static_cast<std::size_t>(node->output_type().bytes() * place.steps));
      host_.emplace_back(bytes_.back());
      if (!place.on_device) continue;
      device_.push_back(Buffer::allocate(device, bytes_.back(), node->name()));
      device->fill(device_.back().data(), std::byte{0}, bytes_.back());
    }
  }
  void step(Executable& exe) const {
    std::vector<Feed> feeds;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const void* data = place_.on_device ? device_[i].data() : host_[i].data();
      feeds.push_back({names_[i], data, bytes_[i], {}, place_.on_device});
    }
    exe.run_steps(place_.steps, feeds);
  }
  /// Of the device's memory.
  [[nodiscard]] std::int64_t bytes() const {
    std::int64_t total = 0;
    for (const Buffer& buffer : device_) total += static_cast<std::int64_t>(buffer.size());
    return total;
  }

 private:
  FeedPlace place_;
  std::vector<std::string> names_;
  std::vector<std::size_t> bytes_;
  std::vector<std::vector<std::byte>> host_;
  std::vector<Buffer> device_;
};

Graph small_graph() {
  const nn::ModelInfo& info = nn::find_model("seed-cnn");
  nn::ModelOptions options = info.defaults;
  options.height = options.width = 4;
  return train::build_train_graph(*info.make(options), {options.channels, 4, 4}, 2, {});
}

/// A step that an emulated GPU takes in no time: w -= 0.1 d(mean((x w)^2))/dw.
Graph tiny_graph() {
  Graph graph;
  const Value x = graph.placeholder("input", {DType::f32, {2}});
  const Value w = graph.variable("w", {DType::f32, {2}}, Initializer::constant(1));
  const Value product = x * w;
  const Value loss = ops::mean(product * product, {});
  graph.assign(w, w - gradients(loss, std::vector{w}).front() * 0.1);
  graph.fetch("loss", loss);
  return graph;
}

constexpr FeedPlace kPlaces[] = {{false, 1}, {true, 1}, {false, 3}, {true, 3}};

class GpuMemory : public testing_support::GpuTest {
 protected:
  /// What is allocated must be what was planned before: after the first call as after the tenth.
  void expect_as_planned(const Graph& graph, const CompileOptions& options = {}) {
    for (const FeedPlace& place : kPlaces) {
      SCOPED_TRACE(std::string(place.on_device ? "device" : "host") +
                   " feeds, steps a call: " + std::to_string(place.steps));
      VariableStore store(backend_, 1);
      const std::int64_t before = allocated_bytes(store);
      Executable exe = compile(graph, store, options);
      const std::int64_t planned = planned_bytes(store, exe, place);
      const Zeros zeros(exe, backend_->device(), place);
      for (int call = 1; call <= 10; ++call) {
        zeros.step(exe);
        if (call > 1 && call < 10) continue;
        exe.wait();
        EXPECT_EQ(allocated_bytes(store) - before, planned + zeros.bytes()) << "call " << call;
      }
    }
  }
};

TEST_F(GpuMemory, OfOneKernelIsPlanned) {
  VariableStore store(backend_, 1);
  EXPECT_EQ(compile(small_graph(), store).stats().device_nodes, 1);
  expect_as_planned(small_graph());
}

TEST_F(GpuMemory, OfAProfiledKernelIsPlanned) {
  expect_as_planned(small_graph(), {.profile = true});
}

TEST_F(GpuMemory, OfACapturedStepIsPlanned) {
  const testing_support::ResNet18 net(2, 2, 8);
  VariableStore store(backend_, 1);
  EXPECT_GT(compile(net.graph, store).stats().device_nodes, 1);
  expect_as_planned(net.graph);
}

TEST_F(GpuMemory, AfterTenThousandStepsIsThatAfterTen) {
  constexpr FeedPlace kTen{.on_device = false, .steps = 10};
  VariableStore store(backend_, 1);
  const std::int64_t before = allocated_bytes(store);
  Executable exe = compile(tiny_graph(), store);
  const std::int64_t planned = planned_bytes(store, exe, kTen);
  const Zeros zeros(exe, backend_->device(), kTen);
  for (int call = 1; call <= 1000; ++call) {
    zeros.step(exe);
    if (call > 1 && call < 1000) continue;
    exe.wait();
    EXPECT_EQ(allocated_bytes(store) - before, planned) << "call " << call;
  }
  EXPECT_EQ(exe.steps_run(), 10'000);
}

TEST_F(GpuMemory, OfExecutablesOnOneStoreIsPlanned) {
  const testing_support::ResNet18 net(2, 2, 8);
  const testing_support::ResNet18 larger(2, 2, 16);
  VariableStore store(backend_, 1);
  const std::int64_t before = allocated_bytes(store);
  Executable one = compile(net.graph, store);
  Executable two = compile(larger.graph, store);
  const std::int64_t planned = total_bytes(store.device_memory()) +
                               total_bytes(one.device_memory()) + total_bytes(two.device_memory());
  const Zeros small_feeds(one, backend_->device(), {});
  const Zeros large_feeds(two, backend_->device(), {});
  for (int step = 0; step < 3; ++step) {
    small_feeds.step(one);
    large_feeds.step(two);
  }
  one.wait();
  two.wait();
  EXPECT_EQ(allocated_bytes(store) - before, planned);
}

/// Bytes of the owner of this name; 0 without one.
std::int64_t bytes_of(const std::vector<MemoryOwner>& owners, std::string_view name) {
  const auto it = std::ranges::find(owners, name, &MemoryOwner::name);
  return it == owners.end() ? 0 : it->bytes;
}

TEST_F(GpuMemory, OfADataSetThatLiesThereIsPlanned) {
  const nn::ModelInfo& info = nn::find_model("seed-cnn");
  const nn::ResidentSource source{.images = {DType::u8, {6, 3, 4, 4}}, .batch = 2};
  VariableStore store(backend_, 1);
  const std::int64_t before = allocated_bytes(store);
  Executable exe =
      compile(train::build_resident_train_graph(*info.make(info.defaults), source, {}), store);
  const std::int64_t planned = planned_bytes(store, exe);
  // Its images, labels, order and the number of the batch, each in a place of its own.
  EXPECT_GE(bytes_of(store.device_memory(), "dataset"), 6 * (3 * 4 * 4 + 4 + 4) + 4);
  exe.run_steps(3, {});
  exe.wait();
  EXPECT_EQ(allocated_bytes(store) - before, planned);
}

TEST_F(GpuMemory, OfOneKernelHasARingForFeedsOnTheirWay) {
  VariableStore store(backend_, 1);
  const Executable exe = compile(small_graph(), store);
  ASSERT_EQ(exe.stats().device_nodes, 1);
  constexpr std::int64_t kImages = std::int64_t{2} * 3 * 4 * 4 * 4;
  constexpr const char* kOnItsWay = "feed \"input\", on its way from the host";
  for (const int steps : {1, 5}) {
    const auto from_host = exe.device_memory({.on_device = false, .steps = steps});
    EXPECT_EQ(bytes_of(from_host, kOnItsWay), 3 * steps * kImages);
    // The kernel reads it there.
    EXPECT_EQ(bytes_of(from_host, "feed \"input\""), 0);
    EXPECT_EQ(bytes_of(exe.device_memory({.on_device = true, .steps = steps}), kOnItsWay), 0);
  }
}

TEST_F(GpuMemory, SaysWhatEachByteIsFor) {
  const testing_support::ResNet18 net(2, 2, 8);
  VariableStore store(backend_, 1);
  const Executable exe = compile(net.graph, store);
  constexpr std::int64_t kImages = std::int64_t{2} * 3 * 8 * 8 * 4;
  const auto from_device = exe.device_memory({.on_device = true});
  const auto from_host = exe.device_memory({.on_device = false});
  EXPECT_EQ(bytes_of(from_device, "feed \"input\""), kImages);
  EXPECT_EQ(bytes_of(from_host, "feed \"input\""), kImages);
  EXPECT_EQ(bytes_of(from_device, "feed \"input\", on its way from the host"), 0);
  EXPECT_EQ(bytes_of(from_host, "feed \"input\", on its way from the host"), 3 * kImages);
  const std::vector<MemoryOwner> shared = store.device_memory();
  EXPECT_EQ(bytes_of(shared, "scratch arena"), exe.stats().arena_bytes);
  EXPECT_EQ(total_bytes(shared), store.bytes() + exe.stats().arena_bytes);
}

}  // namespace
}  // namespace ingot
