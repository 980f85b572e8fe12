// What a step copies to variables at its end, in steps bound by throughput.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "ingot/backends/cuda/step/schedule.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/nn/layers.h"
#include "ingot/nn/models/models.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"
#include "ingot/train/training_graph.h"
#include "tests/backends/support/cuda_source_throughput.h"

namespace ingot {
namespace {

train::TrainingRecipe scaled_recipe(double scale) {
  train::TrainingRecipe recipe;
  recipe.precision = Precision::f16;
  recipe.loss_scaling.initial = scale;
  return recipe;
}

TEST(CudaCopies, ThoseUnderOnePredicateAreOneStage) {
  const nn::ModelInfo& info = nn::find_model("resnet18-cifar");
  const nn::ModelOptions& m = info.defaults;
  const Graph graph = train::build_train_graph(*info.make(m), {m.channels, m.height, m.width}, 512,
                                               scaled_recipe(0x1p16));
  const cuda::CudaBackend backend(nullptr, cuda::GpuFacts{});
  PassContext context(backend);
  const Program program =
      build_program(run_passes(graph, pass_list(), {}, context), backend, context.form);
  // Mean, variance and count of 20 batch norms.
  EXPECT_GE(program.copies.size(), 60u);
  int stages = 0;
  for (const cuda::PlacedStage& placed : cuda::sequence(program, cuda::GpuFacts{})) {
    const std::string& what = placed.stage.what;
    if (what.find("copies, ") != std::string::npos || what.starts_with("copy to")) ++stages;
  }
  EXPECT_LE(stages, 4);
}

/// The running averages after one step whose loss is scaled by `scale`.
std::vector<HostTensor> averages_after(std::shared_ptr<Backend> backend, double scale) {
  const nn::Sequential net(nn::Conv2d(2, 8, 3, {.padding = 1}), nn::BatchNorm2d(8), nn::ReLU(),
                           nn::Conv2d(8, 16, 3, {.padding = 1}), nn::BatchNorm2d(16), nn::ReLU(),
                           nn::Flatten(), nn::Linear(1024, 3));
  VariableStore store(std::move(backend), 1);
  Executable exe =
      compile(train::build_train_graph(net, {2, 8, 8}, 4, scaled_recipe(scale)), store);
  const std::vector<float> x = testing_support::eighths(4 * 2 * 64, 1);
  const std::vector<std::int32_t> y{0, 1, 2, 1};
  exe.step({{"input", x.data(), 4 * x.size()}, {"target", y.data(), 4 * y.size()}});
  exe.wait();
  std::vector<HostTensor> values;
  for (const Segment* segment : store.segments()) {
    if (segment->role == VariableRole::buffer) values.push_back(store.read(segment->name));
  }
  return values;
}

TEST(CudaCopies, AreMadeWhereThePredicateHolds) {
  const auto backend = testing_support::throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "without a GPU";
  const auto got = averages_after(backend, 1);
  const auto want = averages_after(make_backend("reference"), 1);
  const auto skipped = averages_after(backend, 0x1p127);
  const auto untouched = averages_after(make_backend("reference"), 0x1p127);
  ASSERT_EQ(got.size(), 6u);
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(skipped[i], untouched[i]);
    EXPECT_NE(got[i], skipped[i]);
    for (std::int64_t k = 0; k < want[i].type().numel(); ++k) {
      const double b = want[i].view().get(k);
      EXPECT_NEAR(got[i].view().get(k), b, 0x1p-9 * std::fabs(b) + 1e-5) << i << " at " << k;
    }
  }
}

}  // namespace
}  // namespace ingot
