#include "ingot/backends/cuda/libraries/cold_timer.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/base/philox_fill.h"

namespace ingot::cuda {
namespace {

// A block of random elements that is repeated: generating more of them takes longer than timing.
constexpr std::size_t kPattern = std::size_t{1} << 18;

template <typename T>
std::vector<std::byte> random_elements(std::uint32_t stream) {
  std::vector<float> uniform(kPattern);
  philox_fill_uniform(uniform, 1, stream, 0, 0);
  std::vector<std::byte> bytes(kPattern * sizeof(T));
  for (std::size_t i = 0; i < kPattern; ++i) {
    const T value(2 * uniform[i] - 1);
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  return bytes;
}

std::vector<std::byte> pattern_of(DType dtype, std::uint32_t stream) {
  switch (dtype) {
    case DType::f16: return random_elements<Half>(stream);
    case DType::bf16: return random_elements<BFloat16>(stream);
    case DType::f32: return random_elements<float>(stream);
    // A valid index, and as fast as any other number.
    default: return std::vector<std::byte>(kPattern);
  }
}

}  // namespace

ColdTimer::ColdTimer(std::shared_ptr<CudaDevice> device) : device_(std::move(device)) {
  device_->make_current();
  flush_ = allocate(std::int64_t{2} * device_->facts().l2_bytes);
  check(driver().StreamCreate(&stream_, CU_STREAM_DEFAULT), "making a stream");
  check(driver().EventCreate(&before_, CU_EVENT_DEFAULT), "making an event");
  check(driver().EventCreate(&after_, CU_EVENT_DEFAULT), "making an event");
}

ColdTimer::~ColdTimer() {
  if (stream_ != nullptr) driver().StreamSynchronize(stream_);
  if (before_ != nullptr) driver().EventDestroy(before_);
  if (after_ != nullptr) driver().EventDestroy(after_);
  if (stream_ != nullptr) driver().StreamDestroy(stream_);
}

Buffer ColdTimer::allocate(std::int64_t bytes) const {
  return Buffer::allocate(device_, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 256)),
                          "timing kernels");
}

Buffer ColdTimer::random(std::int64_t bytes, DType dtype, std::uint32_t stream) const {
  Buffer buffer = allocate(bytes);
  const std::vector<std::byte> pattern = pattern_of(dtype, stream);
  auto* const data = static_cast<std::byte*>(buffer.data());
  std::size_t done = std::min(pattern.size(), buffer.size());
  device_->copy_to_device(data, pattern.data(), done);
  for (; done < buffer.size(); done += std::min(done, buffer.size() - done)) {
    check(driver().MemcpyDtoDAsync(device_pointer(data + done), device_pointer(data),
                                   std::min(done, buffer.size() - done), nullptr),
          "filling operands");
  }
  return buffer;
}

double ColdTimer::seconds(FunctionRef<void(CUstream)> enqueue, int repeats) const {
  double best = std::numeric_limits<double>::infinity();
  for (int run = -1; run < repeats; ++run) {
    check(driver().MemsetD8Async(device_pointer(flush_.data()), static_cast<unsigned char>(run),
                                 flush_.size(), stream_),
          "emptying the cache");
    check(driver().EventRecord(before_, stream_), "recording an event");
    enqueue(stream_);
    check(driver().EventRecord(after_, stream_), "recording an event");
    check(driver().EventSynchronize(after_), "timing kernels");
    float milliseconds = 0;
    check(driver().EventElapsedTime(&milliseconds, before_, after_), "timing kernels");
    if (run >= 0) best = std::min(best, 1e-3 * static_cast<double>(milliseconds));
  }
  return best;
}

}  // namespace ingot::cuda
