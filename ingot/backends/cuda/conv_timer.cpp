#include "ingot/backends/cuda/conv_timer.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "ingot/backends/cuda/driver.h"
#include "ingot/base/philox.h"

namespace ingot::cuda {
namespace {

// A block of random elements that is repeated: generating more of them takes longer than timing.
constexpr std::size_t kPattern = std::size_t{1} << 18;

template <typename T>
std::vector<std::byte> random_elements(std::uint32_t stream) {
  std::vector<std::byte> bytes(kPattern * sizeof(T));
  for (std::size_t i = 0; i < kPattern; ++i) {
    const T value(2 * philox_uniform(1, stream, 0, i) - 1);
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  return bytes;
}

/// Random numbers in [-1, 1) as the bits of a dtype.
std::vector<std::byte> random_bytes(DType dtype, std::uint32_t stream) {
  switch (dtype) {
    case DType::f16: return random_elements<Half>(stream);
    case DType::bf16: return random_elements<BFloat16>(stream);
    default: return random_elements<float>(stream);
  }
}

}  // namespace

ConvTimer::ConvTimer(std::shared_ptr<CudaDevice> device, const ConvProblem& problem)
    : device_(std::move(device)), problem_(problem) {
  device_->make_current();
  allocate(x_, problem.x.bytes());
  allocate(w_, problem.w.bytes());
  allocate(y_, problem.y.bytes());
  fill(x_, problem.x.dtype, 1);
  fill(w_, problem.w.dtype, 2);
  fill(y_, problem.y.dtype, 3);
  if (problem.bias) {
    allocate(bias_, problem.y.dims[1] * static_cast<std::int64_t>(dtype_size(problem.bias_dtype)));
    fill(bias_, problem.bias_dtype, 4);
  }
  allocate(flush_, std::int64_t{2} * device_->facts().l2_bytes);
  check(driver().StreamCreate(&stream_, CU_STREAM_DEFAULT), "making a stream");
  check(driver().EventCreate(&before_, CU_EVENT_DEFAULT), "making an event");
  check(driver().EventCreate(&after_, CU_EVENT_DEFAULT), "making an event");
}

ConvTimer::~ConvTimer() {
  if (stream_ != nullptr) driver().StreamSynchronize(stream_);
  if (before_ != nullptr) driver().EventDestroy(before_);
  if (after_ != nullptr) driver().EventDestroy(after_);
  if (stream_ != nullptr) driver().StreamDestroy(stream_);
}

void ConvTimer::allocate(Buffer& buffer, std::int64_t bytes) {
  buffer = Buffer::allocate(device_, static_cast<std::size_t>(bytes), "timing plans");
}

void ConvTimer::fill(const Buffer& buffer, DType dtype, std::uint32_t stream) {
  const std::vector<std::byte> pattern = random_bytes(dtype, stream);
  auto* const data = static_cast<std::byte*>(buffer.data());
  std::size_t done = std::min(pattern.size(), buffer.size());
  device_->copy_to_device(data, pattern.data(), done);
  for (; done < buffer.size(); done += std::min(done, buffer.size() - done)) {
    check(driver().MemcpyDtoDAsync(device_pointer(data + done), device_pointer(data),
                                   std::min(done, buffer.size() - done), nullptr),
          "filling operands");
  }
}

Buffer& ConvTimer::result_buffer() noexcept {
  switch (problem_.kind) {
    case ConvKind::input_grad: return x_;
    case ConvKind::weight_grad: return w_;
    case ConvKind::forward: break;
  }
  return y_;
}

double ConvTimer::seconds(const ConvCall& call, int repeats) {
  const auto bytes = static_cast<std::size_t>(std::max<std::int64_t>(call.workspace_bytes(), 256));
  if (workspace_.size() < bytes) {
    workspace_.reset();
    allocate(workspace_, static_cast<std::int64_t>(bytes));
  }
  const auto at = [](const Buffer& buffer) { return static_cast<const std::byte*>(buffer.data()); };
  const ConvMemory memory{at(x_), at(w_), at(y_), problem_.bias ? at(bias_) : nullptr};
  double best = std::numeric_limits<double>::infinity();
  for (int run = -1; run < repeats; ++run) {
    check(driver().MemsetD8Async(device_pointer(flush_.data()), static_cast<unsigned char>(run),
                                 flush_.size(), stream_),
          "emptying the cache");
    check(driver().EventRecord(before_, stream_), "recording an event");
    call.enqueue(stream_, memory, static_cast<std::byte*>(workspace_.data()));
    check(driver().EventRecord(after_, stream_), "recording an event");
    check(driver().EventSynchronize(after_), "timing " + call.name());
    float milliseconds = 0;
    check(driver().EventElapsedTime(&milliseconds, before_, after_), "timing");
    if (run >= 0) best = std::min(best, 1e-3 * static_cast<double>(milliseconds));
  }
  return best;
}

std::vector<std::byte> ConvTimer::result(std::size_t most) const {
  const Buffer& buffer = const_cast<ConvTimer*>(this)->result_buffer();
  std::vector<std::byte> bytes(std::min(most, buffer.size()));
  device_->copy_to_host(bytes.data(), buffer.data(), bytes.size());
  return bytes;
}

}  // namespace ingot::cuda
