// The latch for errors that only data can cause, such as a label out of range.
#pragma once

#include <atomic>
#include <cstdint>
#include <tuple>
#include <type_traits>

namespace ingot {

/// What went wrong first in a step; the same bytes on the host and on a device.
struct StepError {
  std::int32_t node = -1;   ///< id of the Node, -1 when nothing went wrong
  std::int32_t rule = 0;    ///< index of the op's rule that the data broke
  std::int64_t value = 0;   ///< the offending value
  std::int64_t index = 0;   ///< its logical element index in the operand
  std::int32_t inner = -1;  ///< id of the Node in the body, when `node` is a Region
  std::int32_t reserved = 0;

  friend bool operator==(const StepError&, const StepError&) = default;
};

static_assert(std::is_trivially_copyable_v<StepError> && sizeof(StepError) == 32);

/// Kernels latch from any thread; the lowest node id wins (then the lowest id in a body), then the
/// lowest element index, whatever the timing. Reading and resetting happen between steps.
class StepErrorLatch {
 public:
  /// Never throws, never allocates; `node` >= 0.
  void latch(std::int32_t node, std::int32_t rule, std::int64_t value, std::int64_t index,
             std::int32_t inner = -1) noexcept {
    // Most calls of a badly wrong batch lose against the first node and end here.
    const std::int32_t first = first_node_.load(std::memory_order_relaxed);
    if (first >= 0 && first < node) return;
    while (busy_.test_and_set(std::memory_order_acquire)) {
      while (busy_.test(std::memory_order_relaxed)) {
      }
    }
    const bool wins = error_.node < 0 || std::tuple(node, inner, index) <
                                             std::tuple(error_.node, error_.inner, error_.index);
    if (wins) {
      error_ = {node, rule, value, index, inner};
      first_node_.store(node, std::memory_order_relaxed);
    }
    busy_.clear(std::memory_order_release);
  }

  /// Whether anything was latched so far.
  [[nodiscard]] bool set() const noexcept {
    return first_node_.load(std::memory_order_relaxed) >= 0;
  }

  /// The record; call after the step's threads have been joined.
  [[nodiscard]] const StepError& error() const noexcept { return error_; }

  void reset() noexcept {
    error_ = {};
    first_node_.store(-1, std::memory_order_relaxed);
  }

 private:
  std::atomic<std::int32_t> first_node_{-1};
  std::atomic_flag busy_;
  StepError error_;
};

}  // namespace ingot
