// One NVIDIA GPU: memory, streams and events through the driver.
#pragma once

#include <cuda.h>

#include <memory>
#include <string>

#include "ingot/base/dtype.h"
#include "ingot/memory/device.h"

namespace ingot::cuda {

/// Multiplications and additions that a multiprocessor does in a cycle at most, counted apart: by
/// vector units, and by tensor cores on tf32 and on 16 bits (dense, compute capability 9.0).
inline constexpr double kVectorFlops = 256;
inline constexpr double kTf32Flops = 2048;
inline constexpr double kHalfFlops = 4096;
/// Of products and convolutions of such operands.
constexpr double contraction_flops_of_cycle(DType operands, bool tf32) {
  if (operands != DType::f32) return kHalfFlops;
  return tf32 ? kTf32Flops : kVectorFlops;
}

/// What kernels are made for.
struct GpuFacts {
  std::string name;
  int arch = 90;  ///< compute capability, 90 for 9.0
  int multiprocessors = 132;
  int shared_bytes = 227 << 10;  ///< that one block may use
  int l2_bytes = 50 << 20;
  double cycles_per_second = 1.98e9;
  double bytes_per_second = 4.8e12;  ///< of its memory
  bool is_shared = false;            ///< by processes whose kernels run side by side (MPS)

  /// Whether a kernel may begin before the one ahead has ended (programmatic dependent launch).
  [[nodiscard]] bool begins_early() const noexcept { return arch >= 90; }

  /// What so much work takes at least: by memory's bandwidth, and by arithmetic where each
  /// multiprocessor does `flops_of_cycle`.
  [[nodiscard]] double floor_seconds(double flops, double flops_of_cycle, double bytes) const;
};

/// Visible GPU number `ordinal` (CUDA_VISIBLE_DEVICES decides which are visible); its primary
/// context, shared with other users of the process. Errors: see driver(); no such GPU.
class CudaDevice final : public Device, public std::enable_shared_from_this<CudaDevice> {
 public:
  explicit CudaDevice(int ordinal);
  ~CudaDevice() override;

  [[nodiscard]] const GpuFacts& facts() const noexcept { return facts_; }
  [[nodiscard]] CUcontext context() const noexcept { return context_; }
  /// Makes the context current in the calling thread.
  void make_current() const;

  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] DeviceKind kind() const noexcept override { return DeviceKind::cuda; }
  [[nodiscard]] bool host_visible() const noexcept override { return false; }
  [[nodiscard]] std::size_t alignment() const noexcept override { return 256; }
  [[nodiscard]] MemoryInfo memory_info() const override;

  void copy_to_device(void* target, const void* host_source, std::size_t bytes) override;
  void copy_to_host(void* host_target, const void* source, std::size_t bytes) override;
  void fill(void* target, std::byte value, std::size_t bytes) override;
  [[nodiscard]] std::shared_ptr<Stream> create_stream() override;

 protected:
  void* do_allocate(std::size_t bytes) noexcept override;
  void do_free(void* data, std::size_t bytes) noexcept override;
  void* do_allocate_staging(std::size_t bytes) noexcept override;
  void do_free_staging(void* data, std::size_t bytes) noexcept override;

 private:
  std::string name_;
  GpuFacts facts_;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
};

inline CUdeviceptr device_pointer(const void* data) noexcept {
  return reinterpret_cast<CUdeviceptr>(data);
}

}  // namespace ingot::cuda
