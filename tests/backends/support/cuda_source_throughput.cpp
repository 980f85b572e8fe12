#include "tests/backends/support/cuda_source_throughput.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/ir/op_def.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"

namespace ingot::testing_support {

std::vector<std::string> throughput_kernels(const Graph& graph) {
  cuda::CudaBackend backend(nullptr, cuda::GpuFacts{});
  backend.force_form(StepForm::throughput);
  PassContext context(backend);
  auto lowered = run_passes(graph, pass_list(), {}, context);
  const Program program = build_program(std::move(lowered), backend, context.form);
  std::vector<std::string> kernels;
  for (const Launch& launch : program.main) {
    kernels.push_back(fmt::format("{} of {}", launch.kernel->name(), launch.node->op().name));
  }
  return kernels;
}

std::shared_ptr<cuda::CudaBackend> throughput_backend() {
  try {
    const auto device = std::make_shared<cuda::CudaDevice>(0);
    auto backend = std::make_shared<cuda::CudaBackend>(device, device->facts());
    backend->force_form(StepForm::throughput);
    return backend;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    return nullptr;
  }
}

void expect_reference_values(const std::shared_ptr<cuda::CudaBackend>& backend, const Graph& graph,
                             std::span<const Feed> feeds, double relative) {
  VariableStore here(backend, 1);
  VariableStore there(make_backend("reference"), 1);
  Executable exe = compile(graph, here);
  Executable judge = compile(graph, there);
  exe.run(feeds);
  judge.run(feeds);
  for (const Fetch& fetch : graph.fetches()) {
    const HostTensor got = exe.fetched(fetch.name);
    const HostTensor want = judge.fetched(fetch.name);
    for (std::int64_t i = 0; i < want.type().numel(); ++i) {
      const double a = got.view().get(i);
      const double b = want.view().get(i);
      const double bound = relative == 0 ? 0 : relative * std::fabs(b) + 1e-6;
      ASSERT_TRUE(std::fabs(a - b) <= bound || a == b || (std::isnan(a) && std::isnan(b)))
          << fetch.name << " at " << i << ": " << a << ", wanted " << b;
    }
  }
}

std::vector<float> eighths(std::int64_t count, std::uint32_t stream) {
  std::vector<float> result(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] = std::floor(8.0F * philox_uniform(7, stream, 0, i)) / 8.0F - 0.5F;
  }
  return result;
}

}  // namespace ingot::testing_support
