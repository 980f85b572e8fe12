// Steps of one kernel that begin while the one before ends: their feeds lie on the device, so that
// nothing comes between two of them. On a real GPU or the emulated one; skips without either.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/backends/cuda/step/early_turn.h"
#include "ingot/engine/compile.h"
#include "ingot/ir/graph.h"
#include "ingot/memory/buffer.h"
#include "ingot/ops/operators.h"
#include "tests/engine/support/training.h"
#include "tests/support/gpu_test.h"

namespace ingot {
namespace {

using testing_support::losses_of;
using testing_support::Training;
using testing_support::TrainingSpec;

class GpuEarlySteps : public testing_support::GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (backend_ == nullptr) return;
    device_ = std::dynamic_pointer_cast<cuda::CudaDevice>(backend_->device());
    turn_ = cuda::EarlyTurn::of(device_->context());
  }
  [[nodiscard]] int steps() const { return testing_support::is_emulated(*backend_) ? 6 : 400; }
  /// So many images that each net has a block for every multiprocessor.
  [[nodiscard]] std::int64_t images() const { return 2 * device_->facts().multiprocessors; }
  static TrainingSpec spec_of(std::string_view model, std::int64_t batch = 4) {
    return {.model = model, .batch = batch, .device = "cuda", .feeds_on_device = true};
  }
  /// How many launches were early since the last such question.
  std::uint64_t early_launches() {
    const std::uint64_t before = std::exchange(early_launches_, turn_->early_launches());
    return early_launches_ - before;
  }

  std::shared_ptr<cuda::CudaDevice> device_;
  std::shared_ptr<cuda::EarlyTurn> turn_;
  std::uint64_t early_launches_ = 0;
};

/// Losses of all steps and the variables after them.
struct Trained {
  std::vector<double> losses;
  std::vector<HostTensor> variables;

  bool operator==(const Trained&) const = default;
};

Trained train(const TrainingSpec& spec, int steps, bool wait_for_each = false) {
  Training training(spec);
  Trained trained;
  for (int i = 0; i < steps; ++i) {
    training.step();
    if (!wait_for_each && (i + 1) % 100 != 0) continue;
    training.executable().wait();
    std::ranges::copy(losses_of(training.executable()), std::back_inserter(trained.losses));
  }
  training.executable().wait();
  std::ranges::copy(losses_of(training.executable()), std::back_inserter(trained.losses));
  trained.variables = training.variables();
  return trained;
}

TEST_F(GpuEarlySteps, EqualThoseThatWait) {
  for (const char* model : {"seed-cnn", "mlp784"}) {
    SCOPED_TRACE(model);
    const Trained waited = train(spec_of(model), steps(), true);
    ASSERT_EQ(waited.losses.size(), static_cast<std::size_t>(steps()));
    early_launches();
    EXPECT_EQ(train(spec_of(model), steps()), waited);
    EXPECT_EQ(early_launches(), static_cast<std::uint64_t>(steps()));
    TrainingSpec shared = spec_of(model);
    shared.shares_gpu = true;
    EXPECT_EQ(train(shared, steps()), waited);
    EXPECT_EQ(early_launches(), 0u) << "a GPU that is shared";
  }
}

TEST_F(GpuEarlySteps, OfSeveralNetsAtATimeEqualThoseOfOne) {
  constexpr std::array<std::string_view, 3> kModels{"seed-cnn", "mlp784", "seed-cnn"};
  std::array<Trained, kModels.size()> together;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kModels.size(); ++i) {
      threads.emplace_back([&, i] { together[i] = train(spec_of(kModels[i], images()), steps()); });
    }
  }
  for (std::size_t i = 0; i < kModels.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(together[i], train(spec_of(kModels[i], images()), steps()));
  }
}

TEST_F(GpuEarlySteps, WaitForTheOneBeforeWhereThatWritesTheirFeed) {
  const TensorType type{DType::f32, {images(), 64}};
  const Buffer memory =
      Buffer::allocate(backend_->device(), static_cast<std::size_t>(type.bytes()), "the caller's");
  const std::vector<float> ones(static_cast<std::size_t>(type.numel()), 1.0F);
  backend_->device()->copy_to_device(memory.data(), ones.data(), memory.size());
  Graph graph;
  const Value x = graph.placeholder("x", type);
  const Value sum = graph.variable("sum", type, Initializer::constant(0));
  graph.assign(sum, sum + x);
  VariableStore store(backend_, 1);
  store.bind_external("sum", memory.data(), memory.size());
  Executable exe = compile(graph, store);
  early_launches();
  for (int step = 0; step < 10; ++step) {
    exe.step({{.name = "x", .data = memory.data(), .bytes = memory.size(), .on_device = true}});
  }
  exe.wait();
  ASSERT_EQ(exe.stats().device_nodes, 1);
  EXPECT_EQ(early_launches(), 0u);
  const HostTensor got = store.read("sum");
  for (std::int64_t i = 0; i < type.numel(); ++i) ASSERT_EQ(got.view().get(i), 1024.0) << i;
}

}  // namespace
}  // namespace ingot
