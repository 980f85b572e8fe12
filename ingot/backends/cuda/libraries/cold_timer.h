// Times work on the device with a cold cache, on random operands.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <memory>

#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/base/dtype.h"
#include "ingot/base/function_ref.h"
#include "ingot/memory/buffer.h"

namespace ingot::cuda {

class ColdTimer {
 public:
  explicit ColdTimer(std::shared_ptr<CudaDevice> device);
  ~ColdTimer();
  ColdTimer(const ColdTimer&) = delete;
  ColdTimer& operator=(const ColdTimer&) = delete;

  /// Memory of at least one element.
  [[nodiscard]] Buffer allocate(std::int64_t bytes) const;
  /// Memory full of random elements: floats in [-1, 1), zeros of other dtypes. `stream` tells the
  /// numbers of several apart.
  [[nodiscard]] Buffer random(std::int64_t bytes, DType dtype, std::uint32_t stream) const;

  /// The least of `repeats` runs' times after one that is not counted, in seconds; `enqueue` puts
  /// the work on the stream. Errors: what enqueue or the device said.
  double seconds(FunctionRef<void(CUstream)> enqueue, int repeats) const;

 private:
  std::shared_ptr<CudaDevice> device_;
  Buffer flush_;
  CUstream stream_ = nullptr;
  CUevent before_ = nullptr, after_ = nullptr;
};

}  // namespace ingot::cuda
