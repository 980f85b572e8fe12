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
  if (problem.addend) addend_ = timer_.random(problem.result().bytes(), problem.result().dtype, 5);
}

double ConvTimer::seconds(const ConvCall& call, int repeats) {
  if (workspace_.size() <
      static_cast<std::size_t>(std::max<std::int64_t>(call.workspace_bytes(), 1))) {
    workspace_.reset();
    workspace_ = timer_.allocate(call.workspace_bytes());
  }
  const auto at = [](const Buffer& buffer) { return static_cast<const std::byte*>(buffer.data()); };
  ConvMemory memory{at(x_), at(w_), at(y_), problem_.bias ? at(bias_) : nullptr};
  // As in a step: what is added is mostly read there for the last time.
  if (problem_.addend) memory.addend = at(call.in_place() ? result_buffer() : addend_);
  return timer_.seconds(
      [&](CUstream stream) {
        call.enqueue(stream, memory, static_cast<std::byte*>(workspace_.data()));
      },
      repeats);
}

const Buffer& ConvTimer::result_buffer() const {
  switch (problem_.kind) {
    case ConvKind::input_grad: return x_;
    case ConvKind::weight_grad: return w_;
    case ConvKind::forward: break;
  }
  return y_;
}

std::vector<std::byte> ConvTimer::result(std::size_t most) const {
  const Buffer& buffer = result_buffer();
  std::vector<std::byte> bytes(std::min(most, buffer.size()));
  device_->copy_to_host(bytes.data(), buffer.data(), bytes.size());
  return bytes;
}

}  // namespace ingot::cuda
