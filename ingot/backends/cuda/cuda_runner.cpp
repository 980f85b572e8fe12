// Which form a step takes on a GPU.
#include <utility>

#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/step/step_runner.h"

namespace ingot::cuda {

std::unique_ptr<Runner> make_cuda_runner(const RunnerRequest& request,
                                         std::shared_ptr<CudaDevice> device) {
  SourceOptions options;
  options.check_numerics = request.check_numerics;
  options.profile = request.profile;
  options.library = true;
  StepSource source = step_source(request.program, device->facts(), options);
  const auto make = source.kernels.front().cooperative ? make_one_kernel_runner : make_graph_runner;
  return make(request, std::move(device), std::move(source));
}

}  // namespace ingot::cuda
