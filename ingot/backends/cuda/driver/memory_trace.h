// INGOT_TRACE=memory: what takes memory of the device beside what Ingot allocates, as modules do,
// libraries, and kernels that spill.
#pragma once

#include <cstdint>
#include <string_view>

#include "ingot/backends/cuda/driver/cuda_device.h"

namespace ingot::cuda {

class MemoryTrace {
 public:
  [[nodiscard]] static bool on() noexcept;

  /// A line when a megabyte or more has come or gone since the last call: `what` took it. The first
  /// call says how much is in use. The device must have finished.
  void mark(const CudaDevice& device, std::string_view what);

 private:
  std::int64_t used_ = 0;
};

}  // namespace ingot::cuda
