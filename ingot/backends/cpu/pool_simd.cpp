#include "ingot/backends/cpu/pool_simd.h"

#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/pool_simd.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE void max_lanes(D d, const MaxWindow& window, float* HWY_RESTRICT to) {
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t lane = 0; lane < window.lanes; lane += step) {
    auto best = hn::Set(d, -std::numeric_limits<float>::infinity());
    for (std::int64_t r = 0; r < window.rows; ++r) {
      const float* HWY_RESTRICT at = window.first + r * window.row + lane;
      for (std::int64_t c = 0; c < window.columns; ++c, at += window.column) {
        const auto value = hn::LoadU(d, at);
        const auto stays = hn::Or(hn::Le(value, best), hn::IsNaN(best));
        best = hn::IfThenElse(stays, best, value);
      }
    }
    hn::StoreU(best, d, to + lane);
  }
}

void max_window(const MaxWindow& window, float* to) {
  const hn::CappedTag<float, 16> wide;
  if (window.lanes % static_cast<std::int64_t>(hn::Lanes(wide)) == 0) {
    return max_lanes(wide, window, to);
  }
  max_lanes(hn::CappedTag<float, 8>(), window, to);
}

/// Two walks over the window: which tap wins, then a masked addition to each.
template <class D>
HWY_INLINE void max_grad_lanes(D d, const MaxWindow& window, const float* HWY_RESTRICT gradient,
                               float* HWY_RESTRICT sums) {
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t lane = 0; lane < window.lanes; lane += step) {
    auto best = hn::LoadU(d, window.first + lane);
    auto winner = hn::Zero(d);
    auto tap = hn::Zero(d);
    const auto one = hn::Set(d, 1.0f);
    for (std::int64_t r = 0; r < window.rows; ++r) {
      const float* HWY_RESTRICT at = window.first + r * window.row + lane;
      for (std::int64_t c = 0; c < window.columns; ++c, at += window.column) {
        const auto value = hn::LoadU(d, at);
        const auto stays = hn::Or(hn::Le(value, best), hn::IsNaN(best));
        best = hn::IfThenElse(stays, best, value);
        winner = hn::IfThenElse(stays, winner, tap);
        tap = hn::Add(tap, one);
      }
    }
    const auto g = hn::LoadU(d, gradient + lane);
    tap = hn::Zero(d);
    for (std::int64_t r = 0; r < window.rows; ++r) {
      float* HWY_RESTRICT to = sums + r * window.row + lane;
      for (std::int64_t c = 0; c < window.columns; ++c, to += window.column) {
        const auto part = hn::IfThenElseZero(hn::Eq(winner, tap), g);
        hn::StoreU(hn::Add(hn::LoadU(d, to), part), d, to);
        tap = hn::Add(tap, one);
      }
    }
  }
}

void max_window_grad(const MaxWindow& window, const float* gradient, float* sums) {
  const hn::CappedTag<float, 16> wide;
  if (window.lanes % static_cast<std::int64_t>(hn::Lanes(wide)) == 0) {
    return max_grad_lanes(wide, window, gradient, sums);
  }
  max_grad_lanes(hn::CappedTag<float, 8>(), window, gradient, sums);
}

MaxWindowFn find_max_window() { return max_window; }
MaxWindowGradFn find_max_window_grad() { return max_window_grad; }

}  // namespace ingot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {

HWY_EXPORT(find_max_window);
HWY_EXPORT(find_max_window_grad);

}  // namespace

MaxWindowFn max_window_fn() { return HWY_DYNAMIC_DISPATCH(find_max_window)(); }
MaxWindowGradFn max_window_grad_fn() { return HWY_DYNAMIC_DISPATCH(find_max_window_grad)(); }

}  // namespace ingot::cpu
#endif  // HWY_ONCE
