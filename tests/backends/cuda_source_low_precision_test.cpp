// Small nets in lower precision: one kernel a step, as in f32.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ingot/backends/cuda/step/schedule.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/nn/models/models.h"
#include "ingot/ops/ops.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"
#include "ingot/train/training_graph.h"
#include "tests/backends/support/cuda_source_throughput.h"

namespace ingot {
namespace {

using testing_support::eighths;

cuda::Schedule schedule_of(const Graph& graph) {
  cuda::CudaBackend backend(nullptr, cuda::GpuFacts{});
  backend.force_form(StepForm::latency);
  PassContext context(backend);
  const Program program =
      build_program(run_passes(graph, pass_list(), {}, context), backend, context.form);
  return cuda::schedule(program, cuda::GpuFacts{});
}

TEST(CudaLowPrecision, ASmallNetHasFewBarriersMoreThanInF32) {
  const nn::ModelInfo& info = nn::find_model("lenet");
  const nn::ModelOptions& m = info.defaults;
  const auto phases = [&](Precision precision) {
    train::TrainingRecipe recipe;
    recipe.precision = precision;
    return schedule_of(
               train::build_train_graph(*info.make(m), {m.channels, m.height, m.width}, 32, recipe))
        .phases.size();
  };
  const std::size_t exact = phases(Precision::f32);
  EXPECT_LE(phases(Precision::bf16), exact + 2);
  EXPECT_LE(phases(Precision::f16), exact + 3);
}

/// A convolution and both its gradients, of a batch.
Graph convolutions(DType dtype, std::int64_t stride) {
  const Shape image{12, 3, 9, 12};
  const Conv2dOptions options{.stride = {stride, stride}, .padding = {1, 1, 1, 1}};
  Graph graph;
  const Value x = ops::cast(graph.placeholder("x", {DType::f32, image}, {}), dtype, {});
  const Value w = ops::cast(graph.placeholder("w", {DType::f32, {8, 3, 3, 3}}, {}), dtype, {});
  const Value y = ops::conv2d(x, w, options, {});
  const Value g = ops::cast(graph.placeholder("g", {DType::f32, y.shape()}, {}), dtype, {});
  graph.fetch("y", ops::cast(y, DType::f32, {}));
  graph.fetch("dx", ops::cast(ops::conv2d_input_grad(g, w, image, options, {}), DType::f32, {}));
  graph.fetch("dw",
              ops::cast(ops::conv2d_weight_grad(x, g, w.shape(), options, {}), DType::f32, {}));
  return graph;
}

TEST(CudaLowPrecision, ConvolutionsOfOneItemGiveWhatTheReferenceGives) {
  const auto backend = testing_support::throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "without a GPU";
  backend->force_form(StepForm::latency);
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    for (const std::int64_t stride : {1, 2}) {
      SCOPED_TRACE(std::string(dtype_name(dtype)) + " stride " + std::to_string(stride));
      const Graph graph = convolutions(dtype, stride);
      const auto x = eighths(12 * 3 * 9 * 12, 1);
      const auto w = eighths(8 * 27, 2);
      const auto g = eighths(graph.fetches().front().value.type().numel(), 3);
      const std::vector<Feed> feeds{{"x", x.data(), 4 * x.size()},
                                    {"w", w.data(), 4 * w.size()},
                                    {"g", g.data(), 4 * g.size()}};
      testing_support::expect_reference_values(backend, graph, feeds);
    }
  }
}

}  // namespace
}  // namespace ingot
