// Times plans of one convolution on memory of their own, with a cold cache.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/backends/cuda/libraries/cold_timer.h"
#include "ingot/backends/cuda/libraries/conv_library.h"
#include "ingot/memory/buffer.h"

namespace ingot::cuda {

class ConvTimer {
 public:
  /// Operands are random.
  ConvTimer(std::shared_ptr<CudaDevice> device, const ConvProblem& problem);

  /// See ColdTimer::seconds. Errors: what the library or the device said.
  double seconds(const ConvCall& call, int repeats);
  /// Of the result of the last run, at most `most`.
  [[nodiscard]] std::vector<std::byte> result(std::size_t most) const;

 private:
  [[nodiscard]] const Buffer& result_buffer() const;

  std::shared_ptr<CudaDevice> device_;
  ConvProblem problem_;
  ColdTimer timer_;
  Buffer x_, w_, y_, bias_, addend_, workspace_;
};

}  // namespace ingot::cuda
