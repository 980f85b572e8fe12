// Kernels whose result is made in slices, or in any ranges.
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
  /// Whether the slices are too little work for several threads.
  [[nodiscard]] virtual bool is_serial() const noexcept { return false; }
  /// Whether each slice makes one range of the result's memory.
  [[nodiscard]] virtual bool has_ranges() const noexcept = 0;
  [[nodiscard]] virtual SliceRange range(std::int64_t slice) const noexcept = 0;
  /// Elements of the longest range, for a kernel with ranges that can make each in memory of its
  /// own (run_slice_apart) rather than in the result; else 0.
  [[nodiscard]] virtual std::int64_t apart_size() const noexcept { return 0; }
  /// Makes the slice's range at `memory`.
  virtual void run_slice_apart(const KernelContext& context, std::int64_t slice, int worker,
                               std::byte* memory) noexcept {
    (void)context, (void)slice, (void)worker, (void)memory;
  }

  /// The axis of a result of this rank that a bias runs along.
  [[nodiscard]] virtual int bias_axis(int rank) const noexcept {
    (void)rank;
    return 1;
  }
  /// Asked before the first run: adds a value for each index of bias_axis, in slot `bias` (-1:
  /// none), and takes the larger of the result and 0 (`relu`), while the result is in registers or
  /// close by. False: it cannot.
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

/// Part of a Kernel that can make any range of its results' memory by itself.
class RangeKernel {
 public:
  virtual ~RangeKernel() = default;
  /// Whether it can for this result; all such have the same number of elements.
  [[nodiscard]] virtual bool makes_ranges(int output) const noexcept = 0;
  /// What comes before all ranges; may use the threads.
  virtual void prepare_ranges(const KernelContext& context) noexcept = 0;
  /// Ranges may run in any order and at the same time on different workers.
  virtual void run_range(const KernelContext& context, SliceRange range, int worker) noexcept = 0;
  /// Rough time in nanoseconds for an element.
  [[nodiscard]] virtual double range_cost() const noexcept = 0;
};

}  // namespace ingot::cpu
