// Times of a captured step's kernels.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <vector>

namespace ingot::cuda {

/// Events between the nodes of a captured graph.
class KernelTimer {
 public:
  explicit KernelTimer(std::size_t kernels);
  ~KernelTimer();
  KernelTimer(const KernelTimer&) = delete;
  KernelTimer& operator=(const KernelTimer&) = delete;

  /// Captures the moment before kernel `i` (after the last: the number of kernels).
  void mark(std::size_t i, CUstream stream);
  /// Waits for a launch of the graph and adds its times; those of the first, which loads code and
  /// memory, do not count.
  void add_step(CUstream stream);
  /// Mean seconds of each kernel; 0 before the second step.
  [[nodiscard]] std::vector<double> seconds() const;

 private:
  std::vector<CUevent> events_;
  std::vector<double> total_;
  int steps_ = 0;
};

}  // namespace ingot::cuda
