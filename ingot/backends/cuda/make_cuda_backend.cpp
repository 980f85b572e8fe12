// The factory, in builds with and without CUDA's headers.
#include "ingot/base/error.h"
#include "ingot/runtime/backend.h"

#ifdef INGOT_HAVE_CUDA
#include "ingot/backends/cuda/cuda_backend.h"
#endif

namespace ingot {

std::shared_ptr<Backend> make_cuda_backend(const BackendOptions& options) {
  (void)options;
#ifdef INGOT_HAVE_CUDA
  auto device = std::make_shared<cuda::CudaDevice>(0);
  cuda::GpuFacts facts = device->facts();
  return std::make_shared<cuda::CudaBackend>(std::move(device), std::move(facts), options);
#else
  Error error = unsupported_error("device \"cuda\": must be in this build, got one without it");
  error.help("configure with -DINGOT_WITH_CUDA=ON where CUDA's headers are installed");
  throw error;
#endif
}

}  // namespace ingot
