// How the CUDA backend plans steps: their form, and the layouts of what they compute. Needs no GPU.
#include <gtest/gtest.h>

#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/nn/models/models.h"
#include "ingot/train/training_graph.h"

namespace ingot::cuda {
namespace {

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

}  // namespace
}  // namespace ingot::cuda
