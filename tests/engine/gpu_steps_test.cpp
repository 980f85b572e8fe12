// Whole steps on a GPU, in both forms: one kernel for the step, and a captured graph of many. On a
// real one or on the emulated one (tests/emulator); skips without either.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/base/trace.h"
#include "ingot/engine/compile.h"
#include "ingot/memory/buffer.h"
#include "ingot/memory/buffer_pool.h"
#include "ingot/memory/tensor.h"
#include "ingot/nn/models/models.h"
#include "ingot/train/training_graph.h"
#include "tests/engine/support/training.h"
#include "tests/passes/support/resnet.h"
#include "tests/support/gpu_test.h"

namespace ingot {
namespace {

using testing_support::losses_of;

constexpr std::int64_t kBatch = 2;
constexpr std::int64_t kSide = 8;

/// Random images and labels of `steps` steps, one step behind the other.
struct Data {
  std::size_t pixels;
  std::vector<float> images;
  std::vector<std::int32_t> labels;

  explicit Data(int steps, std::int64_t side = kSide)
      : pixels(static_cast<std::size_t>(kBatch * 3 * side * side)),
        images(pixels * static_cast<std::size_t>(steps)),
        labels(static_cast<std::size_t>(kBatch * steps)) {
    for (std::size_t i = 0; i < images.size(); ++i) images[i] = 2 * philox_uniform(5, 0, 0, i) - 1;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      labels[i] = static_cast<std::int32_t>(philox_below(5, 1, 0, i, 10));
    }
  }
  [[nodiscard]] std::vector<Feed> step(int s) const {
    const auto at = static_cast<std::size_t>(s);
    return {{"input", images.data() + at * pixels, pixels * sizeof(float)},
            {"labels", labels.data() + at * kBatch, kBatch * sizeof(std::int32_t)}};
  }
  [[nodiscard]] std::vector<Feed> all() const {
    return {{"input", images.data(), images.size() * sizeof(float)},
            {"labels", labels.data(), labels.size() * sizeof(std::int32_t)}};
  }
};

void expect_equal(const VariableStore& got, const VariableStore& want) {
  for (const Segment* segment : want.segments()) {
    EXPECT_EQ(got.read(segment->name), want.read(segment->name)) << segment->name;
  }
}

void expect_close(const HostTensor& got, const HostTensor& want, double relative) {
  double difference = 0;
  double norm = 0;
  for (std::int64_t i = 0; i < want.type().numel(); ++i) {
    const double w = want.view().get(i);
    difference += std::pow(got.view().get(i) - w, 2);
    norm += w * w;
  }
  EXPECT_LE(std::sqrt(difference), relative * std::sqrt(norm) + 1e-6);
}

/// With a net of many small stages, whose step is a captured graph.
class GpuSteps : public testing_support::GpuTest {
 protected:
  testing_support::ResNet18 net_{kBatch, 4, kSide};
};

TEST_F(GpuSteps, ACapturedStepTrainsAsTheReferenceDoes) {
  const Data data(3);
  VariableStore here(backend_, 1);
  VariableStore there(make_backend("reference"), 1);
  Executable exe = compile(net_.graph, here);
  Executable judge = compile(net_.graph, there);
  for (int step = 0; step < 3; ++step) {
    exe.step(data.step(step));
    judge.step(data.step(step));
  }
  ASSERT_GT(exe.stats().device_nodes, 1) << "the net of these tests must not become one kernel";
  const std::vector<double> got = losses_of(exe);
  const std::vector<double> want = losses_of(judge);
  ASSERT_EQ(got.size(), 3u);
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-3 * want[i]) << i;
  EXPECT_NE(got.front(), got.back());
  for (const Segment* segment : there.segments()) {
    SCOPED_TRACE(segment->name);
    expect_close(here.read(segment->name), there.read(segment->name), 2e-3);
  }
}

TEST_F(GpuSteps, CapturedStepsInOneCallAreTheSameSteps) {
  const Data data(3);
  VariableStore one_store(backend_, 1);
  VariableStore many_store(backend_, 1);
  Executable one = compile(net_.graph, one_store);
  Executable many = compile(net_.graph, many_store);
  for (int step = 0; step < 3; ++step) one.step(data.step(step));
  many.run_steps(3, data.all());
  EXPECT_EQ(losses_of(one), losses_of(many));
  expect_equal(many_store, one_store);
}

TEST_F(GpuSteps, ACapturedStepReadsFeedsWhereverTheyLie) {
  const Data data(2);
  VariableStore host_store(backend_, 1);
  VariableStore device_store(backend_, 1);
  Executable host = compile(net_.graph, host_store);
  Executable device = compile(net_.graph, device_store);
  std::vector<Buffer> buffers;
  for (int step = 0; step < 2; ++step) {
    host.step(data.step(step));
    std::vector<Feed> feeds = data.step(step);
    for (Feed& feed : feeds) {
      buffers.push_back(Buffer::allocate(backend_->device(), feed.bytes, feed.name));
      backend_->device()->copy_to_device(buffers.back().data(), feed.data, feed.bytes);
      feed = {feed.name, buffers.back().data(), feed.bytes, {}, true};
    }
    device.step(feeds);
  }
  EXPECT_EQ(losses_of(host), losses_of(device));
  expect_equal(device_store, host_store);
}

TEST_F(GpuSteps, ReadTensorsAndForeignMemoryOfTheDevice) {
  const Data data(1);
  const std::vector<Feed> given = data.step(0);
  VariableStore host_store(backend_, 1);
  VariableStore device_store(backend_, 1);
  Executable host = compile(net_.graph, host_store);
  Executable device = compile(net_.graph, device_store);
  BufferPool pool(backend_->device());
  const TensorType images{DType::f32, {kBatch, 3, kSide, kSide}};
  const TensorType labels{DType::i32, {kBatch}};
  const Tensor owned = Tensor::allocate(pool, images, "images");
  owned.copy_from_host({static_cast<const std::byte*>(given[0].data), given[0].bytes});
  // Another library's memory, larger than needed.
  Buffer foreign = Buffer::allocate(backend_->device(), 4096, "foreign");
  const Tensor wrapped = Tensor::wrap(pool, foreign.data(), foreign.size(), labels, "labels");
  wrapped.copy_from_host({static_cast<const std::byte*>(given[1].data), given[1].bytes});
  host.step(given);
  device.step({feed_of("input", owned), feed_of("labels", wrapped)});
  EXPECT_EQ(losses_of(host), losses_of(device));
  expect_equal(device_store, host_store);
}

TEST_F(GpuSteps, ACapturedStepWithBrokenDataChangesNothing) {
  Data data(3);
  data.labels[kBatch + 1] = 10;  // step 1
  VariableStore store(backend_, 1);
  VariableStore one_step(backend_, 1);
  Executable exe = compile(net_.graph, store);
  Executable judge = compile(net_.graph, one_step);
  judge.step(data.step(0));
  for (int step = 0; step < 3; ++step) exe.step(data.step(step));
  try {
    exe.wait();
    ADD_FAILURE() << "no error for a label out of range";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_data) << error.what();
    EXPECT_NE(error.message().find("below the number of classes, got 10 at element 1"),
              std::string::npos)
        << error.what();
  }
  EXPECT_EQ(exe.steps_run(), 1);
  expect_equal(store, one_step);
}

TEST_F(GpuSteps, ACapturedStepWithALossThatIsNotFiniteChangesNothing) {
  Data data(2);
  data.images[data.pixels + 1] = std::numeric_limits<float>::infinity();
  VariableStore store(backend_, 1);
  VariableStore one_step(backend_, 1);
  Executable exe = compile(net_.graph, store);
  Executable judge = compile(net_.graph, one_step);
  judge.step(data.step(0));
  exe.step(data.step(0));
  exe.step(data.step(1));
  try {
    exe.wait();
    ADD_FAILURE() << "no error for a loss that is not finite";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::numerics) << error.what();
  }
  expect_equal(store, one_step);
}

TEST_F(GpuSteps, GoOnWhenTheScratchMoves) {
  const Data data(2);
  const Data large_data(1, 2 * kSide);
  const testing_support::ResNet18 large(kBatch, 4, 2 * kSide);
  VariableStore store(backend_, 1);
  VariableStore alone(backend_, 1);
  Executable exe = compile(net_.graph, store);
  Executable judge = compile(net_.graph, alone);
  exe.step(data.step(0));
  exe.wait();
  // The same variables in a step that needs more memory.
  Executable larger = compile(large.graph, store);
  exe.step(data.step(1));
  for (int step = 0; step < 2; ++step) judge.step(data.step(step));
  EXPECT_EQ(losses_of(exe), losses_of(judge));
  expect_equal(store, alone);
}

/// Whether every byte of the device's memory is asked for by the end of the second step.
template <typename Step>
bool takes_all_at_once(Device& device, Executable& exe, Step&& step) {
  for (int i = 0; i < 2; ++i) step(i);
  exe.wait();
  const AllocationCounts before = device.allocation_stats().counts();
  const std::size_t free = device.memory_info().free_bytes;
  for (int i = 0; i < 5; ++i) step(i);
  exe.wait();
  EXPECT_EQ(device.allocation_stats().counts(), before);
  return device.memory_info().free_bytes == free;
}

/// Once in a few tries: other programs may take and return some meanwhile.
template <typename Try>
bool is_met(Try&& once) {
  for (int tries = 0; tries < 10; ++tries) {
    if (once()) return true;
  }
  return false;
}

TEST_F(GpuSteps, AllocateNothingAfterTheFirst) {
  const Data data(2);
  EXPECT_TRUE(is_met([&] {
    VariableStore store(backend_, 1);
    Executable captured = compile(net_.graph, store);
    return takes_all_at_once(*backend_->device(), captured,
                             [&](int i) { captured.step(data.step(i % 2)); });
  }));
  EXPECT_TRUE(is_met([&] {
    testing_support::Training one({.model = "seed-cnn", .batch = 4, .device = "cuda"});
    return takes_all_at_once(*one.store().backend()->device(), one.executable(),
                             [&](int) { one.step(); });
  }));
}

TEST_F(GpuSteps, AreMeasuredKernelByKernel) {
  const Data data(1);
  VariableStore store(backend_, 1);
  VariableStore plain_store(backend_, 1);
  std::optional<Executable> measured = compile(net_.graph, store, {.profile = true});
  Executable& captured = *measured;
  Executable plain = compile(net_.graph, plain_store);
  for (int step = 0; step < 3; ++step) {
    captured.step(data.step(0));
    plain.step(data.step(0));
  }
  EXPECT_EQ(losses_of(captured), losses_of(plain));
  expect_equal(store, plain_store);
  EXPECT_TRUE(plain.kernel_times().empty());
  const std::vector<KernelTime> times = captured.kernel_times();
  ASSERT_EQ(static_cast<int>(times.size()), captured.stats().device_nodes);
  ASSERT_GT(times.size(), 100u);
  double flops = 0;
  for (const KernelTime& time : times) {
    EXPECT_GT(time.seconds, 0) << time.what;
    EXPECT_GT(time.floor_seconds, 0) << time.what;
    flops += time.flops;
  }
  EXPECT_GT(flops, 0.5 * captured.stats().flops);
  // At its end, on the trace: what each took, its share of the step, and how far it got.
  const TraceCapture trace("kernels");
  measured.reset();
  ASSERT_EQ(trace.lines().size(), times.size());
  const std::regex line(
      R"( *[0-9.]+ us +[0-9.]+ %  .+, [0-9]+ GB/s(, [0-9]+ GFLOP/s)?, [0-9]+ % of the roofline)");
  for (const std::string& text : trace.lines()) EXPECT_TRUE(std::regex_match(text, line)) << text;
}

TEST_F(GpuSteps, AreMeasuredPartByPartInOneKernel) {
  const nn::ModelInfo& info = nn::find_model("seed-cnn");
  const Graph graph =
      train::build_train_graph(*info.make(info.defaults), {3, kSide, kSide}, kBatch, {});
  const Data data(1);
  const std::vector<std::int32_t> labels{0, 1};
  VariableStore store(backend_, 1);
  Executable exe = compile(graph, store, {.profile = true});
  ASSERT_EQ(exe.stats().device_nodes, 1);
  for (int step = 0; step < 3; ++step) {
    exe.step({data.step(0).front(), {"target", labels.data(), labels.size() * sizeof(labels[0])}});
  }
  exe.wait();
  double flops = 0;
  int barriers = 0;
  for (const KernelTime& time : exe.kernel_times()) {
    flops += time.flops;
    const bool barrier = time.what.starts_with("barrier after phase ");
    barriers += barrier ? 1 : 0;
    const bool works = time.what.starts_with("by item: conv2d");
    EXPECT_TRUE(!works || time.flops > 0) << time.what;
    EXPECT_EQ(time.floor_seconds > 0, time.flops > 0 || time.bytes > 0) << time.what;
  }
  EXPECT_GT(barriers, 1);
  EXPECT_GT(flops, 0.5 * exe.stats().flops);
}

TEST_F(GpuSteps, OneKernelTrainsAsTheReferenceDoes) {
  for (const char* model : {"seed-cnn", "mlp784"}) {
    SCOPED_TRACE(model);
    testing_support::Training here({.model = model, .batch = 4, .device = "cuda"});
    testing_support::Training there({.model = model, .batch = 4, .device = "reference"});
    here.steps(4);
    there.steps(4);
    const std::vector<double> got = losses_of(here.executable());
    const std::vector<double> want = losses_of(there.executable());
    ASSERT_EQ(got.size(), 4u);
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-4 * want[i]) << i;
  }
}

}  // namespace
}  // namespace ingot
