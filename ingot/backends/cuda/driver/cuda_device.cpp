#include "ingot/backends/cuda/driver/cuda_device.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/base/error.h"

namespace ingot::cuda {
namespace {

/// Tickets are events in a ring, so that recording allocates nothing.
class CudaStream final : public Stream {
 public:
  explicit CudaStream(std::shared_ptr<CudaDevice> device) : device_(std::move(device)) {
    device_->make_current();
    check(driver().StreamCreate(&stream_, CU_STREAM_DEFAULT), "making a stream");
    for (CUevent& event : events_) {
      check(driver().EventCreate(&event, CU_EVENT_DISABLE_TIMING), "making an event");
    }
  }
  ~CudaStream() override {
    driver().StreamSynchronize(stream_);
    for (const CUevent event : events_) driver().EventDestroy(event);
    driver().StreamDestroy(stream_);
  }

  [[nodiscard]] Device& device() const noexcept override { return *device_; }

  void copy_to_device(void* target, const void* host_source, std::size_t bytes) override {
    if (bytes == 0) return;
    check(driver().MemcpyHtoDAsync(device_pointer(target), host_source, bytes, stream_),
          "a copy to the device");
  }
  void copy_to_host(void* host_target, const void* source, std::size_t bytes) override {
    if (bytes == 0) return;
    check(driver().MemcpyDtoHAsync(host_target, device_pointer(source), bytes, stream_),
          "a copy from the device");
  }
  void copy_on_device(void* target, const void* source, std::size_t bytes) override {
    if (bytes == 0) return;
    check(driver().MemcpyDtoDAsync(device_pointer(target), device_pointer(source), bytes, stream_),
          "a copy on the device");
  }
  void fill(void* target, std::byte value, std::size_t bytes) override {
    if (bytes == 0) return;
    check(driver().MemsetD8Async(device_pointer(target), std::to_integer<unsigned char>(value),
                                 bytes, stream_),
          "filling memory");
  }
  void call_on_host(HostFunction function, void* context) override {
    check(driver().LaunchHostFunc(stream_, function, context), "a call on the host");
  }
  void wait_for(const Event& event) override {
    auto* other = dynamic_cast<CudaStream*>(event.stream().get());
    if (other == nullptr) return event.wait();
    if (other->ticket_done(event.ticket())) return;
    check(driver().StreamWaitEvent(stream_, other->event_of(event.ticket()), 0),
          "waiting for a stream");
  }
  void synchronize() override { check(driver().StreamSynchronize(stream_), "waiting"); }

 protected:
  std::uint64_t record_ticket() override {
    const std::uint64_t ticket = ++tickets_;
    // The event that is used again covers an older ticket, which is done before the newer one.
    check(driver().EventRecord(event_of(ticket), stream_), "recording an event");
    return ticket;
  }
  [[nodiscard]] bool ticket_done(std::uint64_t ticket) noexcept override {
    return driver().EventQuery(event_of(ticket)) == CUDA_SUCCESS;
  }
  void wait_ticket(std::uint64_t ticket) override {
    check(driver().EventSynchronize(event_of(ticket)), "waiting for an event");
  }

 private:
  [[nodiscard]] CUevent event_of(std::uint64_t ticket) const noexcept {
    return events_[ticket % events_.size()];
  }

  std::shared_ptr<CudaDevice> device_;
  CUstream stream_ = nullptr;
  std::array<CUevent, 64> events_{};
  std::uint64_t tickets_ = 0;
};

int attribute(CUdevice device, CUdevice_attribute which) {
  int value = 0;
  check(driver().DeviceGetAttribute(&value, which, device), "reading an attribute");
  return value;
}

}  // namespace

double GpuFacts::floor_seconds(double flops, double flops_of_cycle, double bytes) const {
  return std::max(bytes / bytes_per_second,
                  flops / (flops_of_cycle * multiprocessors * cycles_per_second));
}

CudaDevice::CudaDevice(int ordinal) : name_(fmt::format("cuda:{}", ordinal)) {
  int count = 0;
  check(driver().DeviceGetCount(&count), "counting GPUs");
  if (ordinal < 0 || ordinal >= count) {
    throw user_error(
        ErrorCode::not_found,
        fmt::format("device \"cuda:{}\": must be below the number of visible GPUs, got {} of them",
                    ordinal, count));
  }
  check(driver().DeviceGet(&device_, ordinal), "finding the GPU");
  std::array<char, 256> text{};
  check(driver().DeviceGetName(text.data(), static_cast<int>(text.size()), device_), "its name");
  facts_.name = text.data();
  facts_.arch = 10 * attribute(device_, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
                attribute(device_, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  facts_.multiprocessors = attribute(device_, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  facts_.shared_bytes = attribute(device_, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  facts_.l2_bytes = attribute(device_, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
  // In kHz; memory moves two words a cycle.
  const int clock = attribute(device_, CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
  const int memory_clock = attribute(device_, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
  const int bus_bits = attribute(device_, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
  if (clock > 0) facts_.cycles_per_second = 1e3 * clock;
  if (memory_clock > 0 && bus_bits > 0) {
    facts_.bytes_per_second = 2e3 * memory_clock * bus_bits / 8;
  }
  // Older drivers do not know the question.
  int mps = 0;
  facts_.is_shared =
      driver().DeviceGetAttribute(&mps, CU_DEVICE_ATTRIBUTE_MPS_ENABLED, device_) == CUDA_SUCCESS &&
      mps != 0;
  check(driver().DevicePrimaryCtxRetain(&context_, device_), "making a context");
  make_current();
}

CudaDevice::~CudaDevice() { driver().DevicePrimaryCtxRelease(device_); }

void CudaDevice::make_current() const {
  check(driver().CtxSetCurrent(context_), "making the context current");
}

MemoryInfo CudaDevice::memory_info() const {
  make_current();
  MemoryInfo info;
  check(driver().MemGetInfo(&info.free_bytes, &info.total_bytes), "asking for free memory");
  return info;
}

// The null stream waits for all streams made by create_stream, and they for it.
void CudaDevice::copy_to_device(void* target, const void* host_source, std::size_t bytes) {
  if (bytes == 0) return;
  make_current();
  check(driver().MemcpyHtoD(device_pointer(target), host_source, bytes), "a copy to the device");
}

void CudaDevice::copy_to_host(void* host_target, const void* source, std::size_t bytes) {
  if (bytes == 0) return;
  make_current();
  check(driver().MemcpyDtoH(host_target, device_pointer(source), bytes), "a copy from the device");
}

void CudaDevice::fill(void* target, std::byte value, std::size_t bytes) {
  if (bytes == 0) return;
  make_current();
  check(driver().MemsetD8(device_pointer(target), std::to_integer<unsigned char>(value), bytes),
        "filling memory");
}

std::shared_ptr<Stream> CudaDevice::create_stream() {
  return std::make_shared<CudaStream>(shared_from_this());
}

void* CudaDevice::do_allocate(std::size_t bytes) noexcept {
  CUdeviceptr data = 0;
  if (driver().CtxSetCurrent(context_) != CUDA_SUCCESS) return nullptr;
  if (driver().MemAlloc(&data, bytes) != CUDA_SUCCESS) return nullptr;
  return reinterpret_cast<void*>(data);  // NOLINT(performance-no-int-to-ptr): the driver's integer
}

void CudaDevice::do_free(void* data, std::size_t) noexcept {
  if (driver().CtxSetCurrent(context_) != CUDA_SUCCESS) return;
  driver().MemFree(device_pointer(data));
}

void* CudaDevice::do_allocate_staging(std::size_t bytes) noexcept {
  void* data = nullptr;
  if (driver().CtxSetCurrent(context_) != CUDA_SUCCESS) return nullptr;
  const unsigned flags = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP;
  return driver().MemHostAlloc(&data, bytes, flags) == CUDA_SUCCESS ? data : nullptr;
}

void CudaDevice::do_free_staging(void* data, std::size_t) noexcept {
  if (driver().CtxSetCurrent(context_) != CUDA_SUCCESS) return;
  driver().MemFreeHost(data);
}

}  // namespace ingot::cuda
