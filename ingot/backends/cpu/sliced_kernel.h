// Kernels whose result is made in slices.
#pragma once

#include <cstdint>

#include "ingot/base/thread_pool.h"
#include "ingot/runtime/kernel.h"

namespace ingot::cpu {

/// Elements [begin, end) of a result's memory.
struct SliceRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// Makes its result slice by slice, so that an epilogue can go over each slice while it is in the
/// cache.
class SlicedKernel : public Kernel {
 public:
  explicit SlicedKernel(ThreadPool& pool) : pool_(pool) {}

  /// What comes before all slices; may use the threads.
  virtual void prepare(const KernelContext& context) noexcept { (void)context; }
  [[nodiscard]] virtual std::int64_t slices() const noexcept = 0;
  /// Slices may run in any order and at the same time on different workers.
  virtual void run_slice(const KernelContext& context, std::int64_t slice, int worker) noexcept = 0;
  /// Whether each slice makes one range of the result's memory.
  [[nodiscard]] virtual bool has_ranges() const noexcept = 0;
  [[nodiscard]] virtual SliceRange range(std::int64_t slice) const noexcept = 0;

  /// Asked before the first run: adds a value for each channel, in slot `bias` (-1: none), and
  /// takes the larger of the result and 0 (`relu`), while the result is in registers. False: it
  /// cannot.
  virtual bool absorb(int bias, bool relu) {
    (void)bias;
    (void)relu;
    return false;
  }

  void run(const KernelContext& context) noexcept override {
    prepare(context);
    pool_.parallel_for(slices(),
                       [&](std::int64_t slice, int worker) { run_slice(context, slice, worker); });
  }

 protected:
  // NOLINTNEXTLINE: shared with the derived kernels
  ThreadPool& pool_;
};

}  // namespace ingot::cpu
