// Bugs planted on purpose, so that a test can show that the conformance suite finds them. They
// exist only in builds with the CMake option INGOT_PLANTED_BUGS; in every other build
// planted_bug() is a constant and the hooks compile to nothing.
#pragma once

#include <cstdint>

#ifdef INGOT_PLANTED_BUGS
#include <atomic>
#endif

namespace ingot {

enum class PlantedBug : std::uint8_t {
  none,
  /// Convolution kernels leave out the last tap, w[:, :, kH-1, kW-1], of kernels above 1x1.
  dropped_conv_tap,
  /// Convolution kernels read w[o, c, j, i] for w[o, c, i, j] when kH = kW; matmul kernels take a
  /// square b as transposed when it is not, and the other way round.
  transposed_weight,
  /// Kernels of batch norm (any part, forward or backward) take ten times the eps they are given.
  wrong_epsilon,
};

#ifdef INGOT_PLANTED_BUGS
inline constexpr bool kPlantedBugsAvailable = true;

inline std::atomic<PlantedBug>& planted_bug_switch() noexcept {
  static std::atomic<PlantedBug> bug{PlantedBug::none};
  return bug;
}

/// The bug that a test has planted. What every Backend's kernels go through asks (see
/// runtime/planted_kernel.h); a kernel of batch norm, and its body when it is inlined, ask through
/// kernel_epsilon.
inline PlantedBug planted_bug() noexcept {
  return planted_bug_switch().load(std::memory_order_relaxed);
}

/// Plants a bug while it lives; from one thread, with no step running.
class PlantedBugScope {
 public:
  explicit PlantedBugScope(PlantedBug bug) noexcept
      : previous_(planted_bug_switch().exchange(bug)) {}
  ~PlantedBugScope() { planted_bug_switch().store(previous_); }
  PlantedBugScope(const PlantedBugScope&) = delete;
  PlantedBugScope& operator=(const PlantedBugScope&) = delete;

 private:
  PlantedBug previous_;
};
#else
inline constexpr bool kPlantedBugsAvailable = false;
constexpr PlantedBug planted_bug() noexcept { return PlantedBug::none; }
#endif

/// The eps that a batch norm kernel computes with.
inline double kernel_epsilon(double eps) noexcept {
  return planted_bug() == PlantedBug::wrong_epsilon ? 10 * eps : eps;
}

}  // namespace ingot
