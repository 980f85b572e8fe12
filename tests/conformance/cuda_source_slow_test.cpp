// Every kernel that the CUDA backend generates compiles: NVRTC needs no GPU.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/driver/nvrtc.h"
#include "ingot/backends/cuda/step/step_source.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/nn/models/models.h"
#include "ingot/ops/registry.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"
#include "ingot/runtime/program.h"
#include "ingot/train/training_graph.h"
#include "tests/conformance/support/op_case.h"

namespace ingot::cuda {
namespace {

constexpr int kArch = 90;

Program lower(const Graph& graph, const Backend& backend) {
  PassContext context(backend);
  auto lowered = run_passes(graph, pass_list(), {}, context);
  return build_program(std::move(lowered), backend, context.form);
}

class CudaSource : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string trouble = compiler_trouble(); !trouble.empty()) {
      GTEST_SKIP() << "kernels cannot be compiled here: " << trouble;
    }
  }
  CudaBackend backend_{nullptr, GpuFacts{}};
};

/// The step as one kernel for all stages, or as a kernel a stage.
StepSource source_of(const Program& program, bool one) {
  const GpuFacts gpu;
  return one ? one_kernel_source(program, schedule(program, gpu), {})
             : kernels_source(program, sequence(program, gpu), {});
}

TEST_F(CudaSource, ACaseOfEveryRecord) {
  int compiled = 0;
  for (const OpDef* op : conformance::tested_ops()) {
    // The device runs every case; here the first of each op stands for its text.
    std::vector<conformance::Case> cases = conformance::all_cases(*op);
    if (cases.size() > 1) cases.erase(cases.begin() + 1, cases.end());
    for (const conformance::Case& item : cases) {
      SCOPED_TRACE(item.name());
      const auto graph = item.graph();
      std::unique_ptr<Program> program;
      try {
        program = std::make_unique<Program>(lower(*graph, backend_));
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::unsupported) << error.what();
        continue;
      }
      // The stages are the same in both forms; each case compiles one of them.
      const StepSource source = source_of(*program, compiled % 2 == 0);
      EXPECT_NO_THROW(compile_kernels(source.texts, kArch)) << source.texts.front();
      ++compiled;
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(compiled, 60);
}

TEST_F(CudaSource, TrainingStepsOfSmallModels) {
  for (const char* name : {"seed-cnn", "mlp784", "gometal-cnn"}) {
    SCOPED_TRACE(name);
    const nn::ModelInfo& info = nn::find_model(name);
    const nn::ModelOptions& m = info.defaults;
    const Graph graph =
        train::build_train_graph(*info.make(m), {m.channels, m.height, m.width}, 32, {});
    const Program program = lower(graph, backend_);
    const StepSource chosen = step_source(program, GpuFacts{}, {});
    const bool one = program.form == StepForm::latency;
    EXPECT_EQ(chosen.kernels.size() == 1, one);
    EXPECT_EQ(chosen.kernels.front().cooperative, one);
    EXPECT_NO_THROW(compile_kernels(chosen.texts, kArch)) << chosen.texts.front();
  }
}

}  // namespace
}  // namespace ingot::cuda
