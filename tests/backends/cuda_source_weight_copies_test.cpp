// Weights in lower precision that are kept from step to step, in steps bound by throughput: the
// same training as when each step converts them, whoever else writes the weights. Plans need no
// GPU; runs are on a real one or on the emulated one (tests/emulator) and skip without either.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/engine/compile.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/ir/core_ops.h"
#include "ingot/memory/buffer.h"
#include "ingot/nn/layers.h"
#include "ingot/nn/models/models.h"
#include "ingot/ops/ops.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"
#include "ingot/train/training_graph.h"
#include "tests/backends/support/cuda_source_throughput.h"
#include "tests/engine/support/device_memory.h"
#include "tests/support/expect_error.h"
#include "tests/support/gpu_test.h"

namespace ingot {
namespace {

using testing_support::eighths;
using testing_support::losses_of;

constexpr std::int64_t kBatch = 4;
constexpr std::int64_t kSide = 6;
const std::string kWeight = "3.weight";

/// Convolutions over few channels, whose weights are padded, and over many, and a product.
nn::Sequential net() {
  return nn::Sequential(nn::Conv2d(2, 8, 3, {.padding = 1}), nn::BatchNorm2d(8), nn::ReLU(),
                        nn::Conv2d(8, 16, 3, {.stride = 2, .padding = 1}), nn::ReLU(),
                        nn::Flatten(), nn::Linear(144, 3));
}

train::TrainingRecipe recipe(Precision precision, double scale = 0x1p10) {
  train::TrainingRecipe recipe;
  recipe.precision = precision;
  recipe.loss_scaling.initial = scale;
  return recipe;
}

Graph training(Precision precision, std::int64_t batch = kBatch, double scale = 0x1p10) {
  return train::build_train_graph(net(), {2, kSide, kSide}, batch, recipe(precision, scale));
}

struct Data {
  std::vector<float> x = eighths(4 * kBatch * 2 * kSide * kSide, 1);
  std::vector<std::int32_t> y = std::vector<std::int32_t>(4 * kBatch);

  Data() {
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = static_cast<std::int32_t>(i * i % 3);
  }
  [[nodiscard]] std::vector<Feed> of(int step, std::int64_t batch = kBatch, int steps = 1) const {
    const auto pixels = static_cast<std::size_t>(batch) * 2 * kSide * kSide;
    const auto at = static_cast<std::size_t>(step % 4);
    return {{"input", x.data() + at * pixels, 4 * pixels * static_cast<std::size_t>(steps)},
            {"target", y.data() + at * static_cast<std::size_t>(batch),
             4 * static_cast<std::size_t>(batch * steps)}};
  }
};

std::int64_t copy_bytes(const VariableStore& store) {
  const std::vector<MemoryOwner> owners = store.device_memory();
  const auto it = std::ranges::find(owners, "weight copies", &MemoryOwner::name);
  return it == owners.end() ? 0 : it->bytes;
}

class CudaWeightCopies : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    backend_ = testing_support::throughput_backend();
    if (backend_ == nullptr) GTEST_SKIP() << "without a GPU";
  }

  /// A store whose steps keep copies, or one whose steps convert their weights.
  struct Run {
    VariableStore store;
    bool copies;

    Run(std::shared_ptr<Backend> backend, bool with) : store(std::move(backend), 1), copies(with) {}
    Executable compiled(const Graph& graph) {
      CompileOptions options;
      if (!copies) options.disabled_passes = {"weight_copies"};
      return compile(graph, store, options);
    }
  };
  [[nodiscard]] Run run(bool copies) const { return {backend_, copies}; }

  static void expect_same(const Run& got, const Run& want) {
    EXPECT_GT(copy_bytes(got.store), 0);
    EXPECT_EQ(copy_bytes(want.store), 0);
    for (const Segment* segment : want.store.segments()) {
      EXPECT_EQ(got.store.read(segment->name), want.store.read(segment->name)) << segment->name;
    }
  }

  /// Does the same in both ways and compares what the stores hold.
  template <typename Do>
  void expect_same_after(Do&& act) {
    Run with = run(true);
    Run without = run(false);
    act(with);
    act(without);
    expect_same(with, without);
  }

  /// A weight that nothing trains.
  static HostTensor drawn(const VariableStore& store, const std::string& name) {
    HostTensor value(store.segment(name).type);
    const std::vector<float> values = eighths(value.type().numel(), 9);
    for (std::size_t i = 0; i < values.size(); ++i) {
      value.view().set(static_cast<std::int64_t>(i), values[i]);
    }
    return value;
  }

  Data data_;
  std::shared_ptr<Backend> backend_;
};

TEST_P(CudaWeightCopies, TrainAsConversionsInEachStepDo) {
  Run with = run(true);
  Run without = run(false);
  Executable kept = with.compiled(training(GetParam()));
  Executable made = without.compiled(training(GetParam()));
  EXPECT_EQ(kept.stats().device_nodes, made.stats().device_nodes - 1);
  EXPECT_LT(kept.stats().bytes_moved, made.stats().bytes_moved);
  const HostTensor before = with.store.read(kWeight);
  for (int step = 0; step < 5; ++step) {
    kept.step(data_.of(step));
    made.step(data_.of(step));
    kept.wait();
    made.wait();
    expect_same(with, without);
  }
  EXPECT_EQ(losses_of(kept), losses_of(made));
  EXPECT_NE(with.store.read(kWeight), before);
}

// So many that a thread takes vectors of elements, and no multiple of a vector.
TEST_P(CudaWeightCopies, OfManyElementsAreTheSame) {
  const nn::Sequential wide(nn::Flatten(), nn::Linear(72, 14999), nn::ReLU(), nn::Linear(14999, 3));
  const Graph graph = train::build_train_graph(wide, {2, kSide, kSide}, kBatch, recipe(GetParam()));
  expect_same_after([&](Run& r) {
    Executable exe = r.compiled(graph);
    for (int step = 0; step < 2; ++step) exe.step(data_.of(step));
    exe.wait();
  });
}

TEST_P(CudaWeightCopies, StepsInOneCallAreTheSameSteps) {
  expect_same_after([&](Run& r) {
    Executable exe = r.compiled(training(GetParam()));
    exe.run_steps(3, data_.of(0, kBatch, 3));
    exe.wait();
  });
  Run with = run(true);
  Run without = run(false);
  Executable many = with.compiled(training(GetParam()));
  Executable one = without.compiled(training(GetParam()));
  many.run_steps(3, data_.of(0, kBatch, 3));
  for (int step = 0; step < 3; ++step) one.step(data_.of(step));
  EXPECT_EQ(losses_of(many), losses_of(one));
  expect_same(with, without);
}

TEST_P(CudaWeightCopies, FollowWhatIsWrittenFromOutside) {
  std::vector<double> written;
  std::vector<double> unwritten;
  expect_same_after([&](Run& r) {
    Executable exe = r.compiled(training(GetParam()));
    exe.step(data_.of(0));
    r.store.write(kWeight, drawn(r.store, kWeight));
    exe.step(data_.of(1));
    exe.step(data_.of(2));
    written = losses_of(exe);
  });
  expect_same_after([&](Run& r) {
    Executable exe = r.compiled(training(GetParam()));
    for (int step = 0; step < 3; ++step) exe.step(data_.of(step));
    unwritten = losses_of(exe);
  });
  EXPECT_EQ(written[0], unwritten[0]);
  EXPECT_NE(written[1], unwritten[1]);
}

TEST_P(CudaWeightCopies, FollowACheckpointThatIsRead) {
  Run r = run(true);
  Executable exe = r.compiled(training(GetParam()));
  exe.step(data_.of(0));
  exe.wait();
  std::vector<std::pair<std::string, HostTensor>> saved;
  for (const Segment* segment : r.store.segments()) {
    saved.emplace_back(segment->name, r.store.read(segment->name));
  }
  const auto rest = [&](Executable& steps) {
    for (int step = 1; step < 3; ++step) steps.step(data_.of(step));
    std::vector<double> losses = losses_of(steps);
    return std::vector<double>(losses.end() - 2, losses.end());
  };
  const std::vector<double> first = rest(exe);
  for (const auto& [name, value] : saved) r.store.write(name, value);
  EXPECT_EQ(rest(exe), first);
  // In a new process, whose copies have never been made.
  Run fresh = run(true);
  Executable resumed = fresh.compiled(training(GetParam()));
  for (const auto& [name, value] : saved) fresh.store.write(name, value);
  EXPECT_EQ(rest(resumed), first);
}

TEST_P(CudaWeightCopies, OfExecutablesThatTrainInTurnAreShared) {
  expect_same_after([&](Run& r) {
    Executable large = r.compiled(training(GetParam()));
    const std::int64_t bytes = copy_bytes(r.store);
    Executable small = r.compiled(training(GetParam(), 2));
    EXPECT_EQ(copy_bytes(r.store), bytes);
    for (int step = 0; step < 6; ++step) {
      Executable& exe = step % 3 == 2 ? small : large;
      exe.step(data_.of(step, step % 3 == 2 ? 2 : kBatch));
      exe.wait();
    }
  });
}

// One that trains the same weights in f32, or that converts them in its own steps.
TEST_P(CudaWeightCopies, FollowExecutablesThatWriteTheWeightsAlone) {
  for (const Precision other : {Precision::f32, GetParam()}) {
    SCOPED_TRACE(precision_name(other));
    expect_same_after([&](Run& r) {
      Executable mine = r.compiled(training(GetParam()));
      Executable theirs = compile(training(other), r.store, {.disabled_passes = {"weight_copies"}});
      for (int step = 0; step < 4; ++step) {
        Executable& exe = step % 2 == 1 ? theirs : mine;
        exe.step(data_.of(step));
        exe.wait();
      }
    });
  }
}

TEST_P(CudaWeightCopies, AreReadWhereNothingIsTrained) {
  Run with = run(true);
  Run without = run(false);
  std::vector<std::vector<double>> seen;
  for (Run* r : {&with, &without}) {
    Executable train = r->compiled(training(GetParam()));
    const std::int64_t bytes = copy_bytes(r->store);
    Executable eval =
        r->compiled(train::build_eval_graph(net(), {2, kSide, kSide}, kBatch, GetParam()));
    EXPECT_EQ(copy_bytes(r->store), bytes);
    EXPECT_EQ(eval.lowered().nodes_of(weight_copies_op()).empty(), !r->copies);
    const auto evaluate = [&] {
      eval.step(data_.of(3));
      eval.wait();
    };
    for (int step = 0; step < 2; ++step) {
      train.step(data_.of(step));
      train.wait();
      evaluate();
      evaluate();
    }
    r->store.write(kWeight, drawn(r->store, kWeight));
    evaluate();
    train.step(data_.of(2));
    train.wait();
    seen.push_back(losses_of(eval));
    EXPECT_EQ(seen.back().size(), 5u);
    EXPECT_NE(seen.back()[1], seen.back()[2]);
    EXPECT_NE(seen.back()[3], seen.back()[4]);
  }
  EXPECT_EQ(seen[0], seen[1]);
  expect_same(with, without);
}

TEST_P(CudaWeightCopies, OfAStepThatFailsAreThoseBefore) {
  expect_same_after([&](Run& r) {
    Executable exe = r.compiled(training(GetParam()));
    exe.step(data_.of(0));
    Data broken = data_;
    broken.y[kBatch] = 3;
    exe.step(broken.of(1));
    exe.step(data_.of(2));
    EXPECT_NE(testing_support::error_of([&] { exe.wait(); }), "no error");
    broken = data_;
    std::ranges::fill(broken.x, std::numeric_limits<float>::quiet_NaN());
    exe.step(broken.of(1));
    EXPECT_NE(testing_support::error_of([&] { exe.wait(); }), "no error");
    for (int step = 1; step < 3; ++step) exe.step(data_.of(step));
    exe.wait();
    // A write while a failure waits to be told.
    exe.step(broken.of(3));
    r.store.write(kWeight, drawn(r.store, kWeight));
    exe.step(data_.of(3));
    EXPECT_NE(testing_support::error_of([&] { exe.wait(); }), "no error");
    exe.step(data_.of(3));
    exe.wait();
  });
}

TEST_P(CudaWeightCopies, AreNotKeptOfMemoryThatTheCallerMayWrite) {
  std::vector<Buffer> memory;
  Run with = run(true);
  Run without = run(false);
  std::vector<std::vector<double>> losses;
  for (Run* r : {&with, &without}) {
    Graph graph = training(GetParam());
    const TensorType type = graph.find_variable(kWeight)->output_type();
    const auto bytes = static_cast<std::size_t>(type.bytes());
    void* const data =
        memory.emplace_back(Buffer::allocate(backend_->device(), bytes, "memory of the caller's"))
            .data();
    std::vector<float> values = eighths(type.numel(), 2);
    backend_->device()->copy_to_device(data, values.data(), bytes);
    r->store.bind_external(kWeight, data, bytes);
    Executable exe = r->compiled(graph);
    for (int step = 0; step < 4; ++step) {
      exe.step(data_.of(step));
      exe.wait();
      for (float& value : values) value = -value;
      backend_->device()->copy_to_device(data, values.data(), bytes);
    }
    losses.push_back(losses_of(exe));
  }
  EXPECT_EQ(losses[0], losses[1]);
  expect_same(with, without);
}

TEST_P(CudaWeightCopies, AreBytesThatWerePlanned) {
  Run r = run(true);
  const std::int64_t before = testing_support::allocated_bytes(r.store);
  Executable exe = r.compiled(training(GetParam()));
  const std::int64_t planned = testing_support::planned_bytes(r.store, exe);
  for (int step = 0; step < 3; ++step) {
    exe.step(data_.of(step));
    exe.wait();
    EXPECT_EQ(testing_support::allocated_bytes(r.store) - before, planned) << step;
  }
  r.store.write(kWeight, drawn(r.store, kWeight));
  exe.step(data_.of(0));
  exe.wait();
  EXPECT_EQ(testing_support::allocated_bytes(r.store) - before, planned);
}

INSTANTIATE_TEST_SUITE_P(Precisions, CudaWeightCopies,
                         testing::Values(Precision::bf16, Precision::f16),
                         [](const auto& info) { return std::string(precision_name(info.param)); });

class CudaScaledCopies : public CudaWeightCopies {};

// The scale begins so high that steps overflow and are skipped.
TEST_P(CudaScaledCopies, OfAStepThatOverflowsAreThoseBefore) {
  Run with = run(true);
  Run without = run(false);
  const Graph graph = training(Precision::f16, kBatch, 0x1p22);
  Executable kept = with.compiled(graph);
  Executable made = without.compiled(graph);
  int skipped = 0;
  int trained = 0;
  HostTensor before = with.store.read(kWeight);
  for (int step = 0; step < 16; ++step) {
    kept.step(data_.of(step));
    made.step(data_.of(step));
    kept.wait();
    made.wait();
    expect_same(with, without);
    HostTensor now = with.store.read(kWeight);
    (now == before ? skipped : trained) += 1;
    before = std::move(now);
  }
  EXPECT_EQ(losses_of(kept), losses_of(made));
  EXPECT_GE(skipped, 2);
  EXPECT_GE(trained, 2);
}

INSTANTIATE_TEST_SUITE_P(Precisions, CudaScaledCopies, testing::Values(Precision::f16),
                         [](const auto& info) { return std::string(precision_name(info.param)); });

/// Planned for a GPU that need not be there.
Program plan(const Graph& graph) {
  cuda::CudaBackend backend(nullptr, cuda::GpuFacts{});
  backend.force_form(StepForm::throughput);
  PassContext context(backend);
  auto lowered = run_passes(graph, pass_list(), {}, context);
  return build_program(std::move(lowered), backend, context.form);
}

TEST(CudaWeightCopiesPlan, OneLaunchApartFromTheStepMakesThem) {
  const nn::ModelInfo& info = nn::find_model("resnet18-cifar");
  const nn::ModelOptions& m = info.defaults;
  const Program program = plan(train::build_train_graph(
      *info.make(m), {m.channels, m.height, m.width}, 512, recipe(Precision::bf16)));
  ASSERT_EQ(program.refresh.size(), 1u);
  EXPECT_EQ(program.refresh[0].kernel->name(), "conversions");
  // 20 convolutions and a product with its bias.
  EXPECT_EQ(program.kept.size(), 22u);
  for (const Launch& launch : program.main) EXPECT_NE(launch.kernel->name(), "conversions");
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < program.kept.size(); ++i) {
    const BoundCopy& copy = program.kept[i];
    const Slot& slot = program.slots[static_cast<std::size_t>(copy.slot)];
    EXPECT_EQ(slot.storage, Slot::Storage::copy);
    EXPECT_EQ(slot.offset, static_cast<std::int64_t>(i));
    bytes += slot.bytes();
    // Read by the step and written at its end.
    const auto touches = [&](const std::vector<Launch>& launches, bool written) {
      return std::ranges::count_if(launches, [&](const Launch& launch) {
        return std::ranges::any_of(written ? launch.outputs : launch.inputs,
                                   [&](int s) { return program.root_of(s) == copy.slot; });
      });
    };
    EXPECT_GE(touches(program.main, false), 1) << copy.variable;
    EXPECT_EQ(touches(program.main, true), 0) << copy.variable;
    EXPECT_EQ(touches(program.commit, false), 0) << copy.variable;
    EXPECT_EQ(touches(program.commit, true), 1) << copy.variable;
  }
  EXPECT_GT(bytes, 2 * 11'000'000);
}

/// A weight's conversion that something reads when the update may have written the next.
Graph read_late() {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::bf16, {4, 8}});
  const Value w = graph.variable("w", {DType::f32, {8, 8}}, Initializer::constant(1));
  const Value low = ops::cast(w, DType::bf16);
  graph.fetch("y", ops::matmul(x, low, false, false));
  graph.fetch("low", ops::reshape(low, {64}));
  const std::vector<std::string> names{"lr", "p", "g"};
  const std::vector<Value> scalars{graph.scalar(0.5)};
  const std::vector<ops::OptimizerOperand> operands{{w, w, {}}};
  graph.assign(
      w, ops::optimizer_update(ScalarProgram::parse("p - lr * g", names), scalars, operands)[0]
             .parameter);
  return graph;
}

TEST(CudaWeightCopiesPlan, WhatIsReadAtTheEndIsMadeInEachStep) {
  const Program program = plan(read_late());
  EXPECT_TRUE(program.kept.empty());
  EXPECT_TRUE(program.refresh.empty());
  EXPECT_TRUE(std::ranges::any_of(program.main, [](const Launch& launch) {
    return &launch.node->op() == &weight_copies_op();
  }));
  const auto backend = testing_support::throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "without a GPU";
  const std::vector<float> values = eighths(16, 1);  // any bytes
  const std::vector<Feed> feeds{{"x", values.data(), 64}};
  testing_support::expect_reference_values(backend, read_late(), feeds);
}

}  // namespace
}  // namespace ingot
