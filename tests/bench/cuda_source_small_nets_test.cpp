// What the CUDA backend makes of small nets, planned for a GPU that need not be here.
#include <gtest/gtest.h>

#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/step_source.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/nn/models/models.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"
#include "ingot/train/training_graph.h"
#include "tests/bench/support/small_nets.h"

namespace ingot::cuda {
namespace {

const GpuFacts kH200{.name = "H200", .arch = 90, .multiprocessors = 132};

Program lower(const Graph& graph) {
  static const CudaBackend backend(nullptr, kH200);
  PassContext context(backend);
  return build_program(run_passes(graph, pass_list(), {}, context), backend);
}

TEST(CudaSourceSmallNets, NearlyAllAreOneKernel) {
  constexpr std::size_t kFew = 4;
  int few = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const small_nets::Net net = small_nets::make_net(seed);
    const Program program = lower(small_nets::train_graph(net, net.batch));
    few += step_source(program, kH200, {}).kernels.size() <= kFew ? 1 : 0;
  }
  EXPECT_GE(few, 45);
}

Schedule schedule_of(std::string_view model) {
  const nn::ModelInfo& info = nn::find_model(model);
  const nn::ModelOptions& m = info.defaults;
  const Graph graph =
      train::build_train_graph(*info.make(m), {m.channels, m.height, m.width}, 32, {});
  return schedule(lower(graph), kH200);
}

TEST(CudaSourceSmallNets, BlocksWaitForOneAnotherAsSeldomAsTheDataAllows) {
  // Per image all the way to the weights' gradients; then their sums, each with its update.
  EXPECT_EQ(schedule_of("seed-cnn").phases.size(), 2u);
  // The widest product is no image's work.
  EXPECT_EQ(schedule_of("mlp784").phases.size(), 3u);
}

}  // namespace
}  // namespace ingot::cuda
