// How the CUDA backend plans steps: their form, the layouts of what they compute, and that what
// runs in them gives what the reference gives. All but the last needs no GPU.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/backends/cuda/kernels/cuda_kernel.h"
#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/nn/layers.h"
#include "ingot/nn/models/models.h"
#include "ingot/passes/precision.h"
#include "ingot/train/training_graph.h"
#include "tests/backends/support/cuda_source_steps.h"

namespace ingot::cuda {
namespace {

using testing_support::low_precision_step;
using testing_support::lower;
using testing_support::small_net;

Graph training_graph(std::string_view model, std::int64_t batch) {
  const nn::ModelInfo& info = nn::find_model(model);
  const nn::ModelOptions& m = info.defaults;
  return train::build_train_graph(*info.make(m), {m.channels, m.height, m.width}, batch, {});
}

TEST(CudaStepForm, FollowsTheWorkOfAStep) {
  const CudaBackend backend(nullptr, GpuFacts{});
  EXPECT_EQ(backend.step_form(training_graph("seed-cnn", 32)), StepForm::latency);
  EXPECT_EQ(backend.step_form(training_graph("mlp784", 32)), StepForm::latency);
  EXPECT_EQ(backend.step_form(training_graph("gometal-cnn", 32)), StepForm::throughput);
  EXPECT_EQ(backend.step_form(training_graph("resnet18-cifar", 512)), StepForm::throughput);
}

/// Bytes that launches move other than products and convolutions, and how many there are.
struct Traffic {
  double bytes = 0;
  int launches = 0;
};

Traffic traffic_of(const Program& program) {
  Traffic traffic;
  const auto add = [&](const Launch& launch) {
    if (launch.kernel->name() == "tiles" || launch.kernel->name() == "mma") return;
    ++traffic.launches;
    for (const int slot : launch.inputs) {
      traffic.bytes += static_cast<double>(program.slots[static_cast<std::size_t>(slot)].bytes());
    }
    for (const int slot : launch.outputs) {
      traffic.bytes += static_cast<double>(program.slots[static_cast<std::size_t>(slot)].bytes());
    }
  };
  for (const Launch& launch : program.main) add(launch);
  for (const Launch& launch : program.commit) add(launch);
  return traffic;
}

TEST(CudaLayouts, NothingIsReorderedBetweenConvolutions) {
  const CudaBackend backend(nullptr, GpuFacts{});
  for (const char* name : {"resnet18-cifar", "resnet50"}) {
    SCOPED_TRACE(name);
    const Program program = lower(low_precision_step(name, 64), backend);
    EXPECT_EQ(program.form, StepForm::throughput);
    EXPECT_EQ(program.stats.reorders, 0);
    for (const Launch& launch : program.main) {
      std::int64_t bytes = 0;
      for (const int slot : launch.outputs) {
        bytes += program.slots[static_cast<std::size_t>(slot)].bytes();
      }
      // What moves many bytes moves 16 at a time.
      const bool small = bytes <= (1 << 20);
      EXPECT_TRUE(small || launch.kernel->name() != "map") << launch.node->name();
    }
  }
}

TEST(CudaLayouts, ActivationsAreReadAndWrittenFewTimes) {
  const CudaBackend backend(nullptr, GpuFacts{});
  const Traffic traffic = traffic_of(lower(low_precision_step("resnet18-cifar", 512), backend));
  // 40 passes over each batch norm's images would be 16 GB.
  EXPECT_LT(traffic.bytes, 6.28e9);
  EXPECT_LT(traffic.launches, 90);
}

TEST(CudaLayouts, ReductionsOfRowsAreOneKernel) {
  const CudaBackend backend(nullptr, GpuFacts{});
  const Program program = lower(low_precision_step("resnet18-cifar", 512), backend);
  int reductions = 0;
  for (const Launch& launch : program.main) {
    if (launch.kernel->name() != "vector reduce") continue;
    const auto& kernel = dynamic_cast<const CudaKernel&>(*launch.kernel);
    const std::vector<Stage> stages = kernel.stages({.launch = launch});
    ASSERT_EQ(stages.size(), 1u) << launch.node->name();
    reductions += stages.front().tickets > 0 ? 1 : 0;
  }
  // Forwards each batch norm, backwards those that do not share one.
  EXPECT_GE(reductions, 36);
}

TEST(CudaLayouts, RunningAveragesOfOneShapeAreOneKernel) {
  const CudaBackend backend(nullptr, GpuFacts{});
  const Program program = lower(training_graph("resnet18-cifar", 512), backend);
  int updates = 0;
  for (const Launch& launch : program.commit) {
    if (launch.kernel->name() == "map" || launch.kernel->name() == "vector map") ++updates;
  }
  // 20 batch norms of four widths, and what counts steps.
  EXPECT_GE(updates, 4);
  EXPECT_LE(updates, 6);
}

/// Batch norm over few rows and over many, between two convolutions.
nn::Sequential wide_net(std::int64_t channels) {
  nn::Sequential net(SourceLocation{});
  net.add("conv1", nn::Conv2d(3, channels, 1, {.bias = false}))
      .add("bn1", nn::BatchNorm2d(channels))
      .add("relu", nn::ReLU())
      .add("conv2", nn::Conv2d(channels, 8, 1, {.bias = false}))
      .add("avgpool", nn::AdaptiveAvgPool2d(1))
      .add("flatten", nn::Flatten())
      .add("fc", nn::Linear(8, 10));
  return net;
}

// The emulated GPU runs them, too.
class CudaDeviceLayouts : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    try {
      device_ = std::make_shared<CudaDevice>(0);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unsupported) throw;
      GTEST_SKIP() << error.message();
    }
  }

  /// Two steps: what one leaves behind in device memory the next finds.
  void expect_trains_as_reference(const nn::Module& model) {
    constexpr std::int64_t kBatch = 6;
    constexpr std::int64_t kSide = 14;
    // bf16 rounds by 2^-9 through some twenty Nodes and back, and sums of it cancel; tf32 rounds
    // what products read by 2^-11.
    const double tolerance = GetParam() == Precision::bf16 ? 0.3 : 0.03;
    const auto backend = std::make_shared<CudaBackend>(device_, device_->facts());
    backend->force_form(StepForm::throughput);
    const Graph graph = low_precision_step(model, {kBatch, 3, kSide, kSide}, GetParam(), true);
    VariableStore here(backend, 1);
    VariableStore there(make_backend("reference"), 1);
    Executable exe = compile(graph, here);
    Executable judge = compile(graph, there);
    std::vector<float> x(kBatch * 3 * kSide * kSide);
    std::vector<std::int32_t> y(kBatch);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 2.0f * philox_uniform(3, 0, 0, i) - 1.0f;
    for (std::size_t i = 0; i < y.size(); ++i) {
      y[i] = static_cast<std::int32_t>(philox_below(3, 1, 0, i, 10));
    }
    const std::vector<Feed> feeds{{"input", x.data(), x.size() * sizeof(float)},
                                  {"target", y.data(), y.size() * sizeof(std::int32_t)}};
    for (int step = 0; step < 2; ++step) {
      exe.run(feeds);
      judge.run(feeds);
      for (const Fetch& fetch : graph.fetches()) {
        const HostTensor got = exe.fetched(fetch.name);
        const HostTensor want = judge.fetched(fetch.name);
        const double a = got.view().get(0);
        const double b = want.view().get(0);
        EXPECT_NEAR(a, b, tolerance * std::fabs(b) + 1e-4) << fetch.name << " in step " << step;
      }
    }
  }

  std::shared_ptr<CudaDevice> device_;
};

TEST_P(CudaDeviceLayouts, TrainsAsTheReferenceDoes) { expect_trains_as_reference(small_net()); }

// Vectors of channels that fill a block's column, several columns, and neither.
TEST_P(CudaDeviceLayouts, ReducesChannelsOfAnyNumber) {
  for (const std::int64_t channels : {24, 64, 136, 512}) {
    SCOPED_TRACE(channels);
    expect_trains_as_reference(wide_net(channels));
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, CudaDeviceLayouts,
                         testing::Values(Precision::tf32, Precision::bf16),
                         [](const auto& info) { return std::string(precision_name(info.param)); });

}  // namespace
}  // namespace ingot::cuda
