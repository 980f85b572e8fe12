#include "ingot/backends/cuda/libraries/conv_timer.h"

#include <algorithm>
#include <utility>

namespace ingot::cuda {

ConvTimer::ConvTimer(std::shared_ptr<CudaDevice> device, const ConvProblem& problem)
    : device_(std::move(device)), problem_(problem), timer_(device_) {
  x_ = timer_.random(problem.x.bytes(), problem.x.dtype, 1);
  w_ = timer_.random(problem.w.bytes(), problem.w.dtype, 2);
  y_ = timer_.random(problem.y.bytes(), problem.y.dtype, 3);
  if (problem.bias) {
    const auto size = static_cast<std::int64_t>(dtype_size(problem.bias_dtype));
    bias_ = timer_.random(problem.y.dims[1] * size, problem.bias_dtype, 4);
  }
}

double ConvTimer::seconds(const ConvCall& call, int repeats) {
  if (workspace_.size() <
      static_cast<std::size_t>(std::max<std::int64_t>(call.workspace_bytes(), 1))) {
    workspace_.reset();
    workspace_ = timer_.allocate(call.workspace_bytes());
  }
  const auto at = [](const Buffer& buffer) { return static_cast<const std::byte*>(buffer.data()); };
  const ConvMemory memory{at(x_), at(w_), at(y_), problem_.bias ? at(bias_) : nullptr};
  return timer_.seconds(
      [&](CUstream stream) {
        call.enqueue(stream, memory, static_cast<std::byte*>(workspace_.data()));
      },
      repeats);
}

std::vector<std::byte> ConvTimer::result(std::size_t most) const {
  const Buffer& buffer = problem_.kind == ConvKind::input_grad    ? x_
                         : problem_.kind == ConvKind::weight_grad ? w_
                                                                  : y_;
  std::vector<std::byte> bytes(std::min(most, buffer.size()));
  device_->copy_to_host(bytes.data(), buffer.data(), bytes.size());
  return bytes;
}

}  // namespace ingot::cuda
