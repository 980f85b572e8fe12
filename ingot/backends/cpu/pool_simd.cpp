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

/// Which lanes of a maximum a further value leaves: the first of equals wins, and so does NaN.
template <class V>
HWY_INLINE auto best_stays(V value, V best) {
  return hn::Or(hn::Le(value, best), hn::IsNaN(best));
}

template <class D>
HWY_INLINE void max_lanes(D d, const MaxWindow& window, float* HWY_RESTRICT to) {
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t lane = 0; lane < window.lanes; lane += step) {
    auto best = hn::Set(d, -std::numeric_limits<float>::infinity());
    for (std::int64_t r = 0; r < window.rows; ++r) {
      const float* HWY_RESTRICT at = window.first + r * window.row + lane;
      for (std::int64_t c = 0; c < window.columns; ++c, at += window.column) {
        const auto value = hn::LoadU(d, at);
        const auto stays = best_stays(value, best);
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
        const auto stays = best_stays(value, best);
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

// Plain images: a vector holds one tap of windows side by side. With a stride of 2 two neighbouring
// taps are loaded together; a last one by itself is loaded with the one before it, so that nothing
// behind the windows is touched.

/// Calls fn(values of tap (r, c)) for the taps of the windows at `x`, in row-major order.
template <int kStride, class D, class Fn>
HWY_INLINE void for_each_tap(D d, const PlainWindows& w, const float* HWY_RESTRICT x,
                             const Fn& fn) {
  for (std::int64_t r = 0; r < w.rows; ++r) {
    const float* HWY_RESTRICT at = x + r * w.row;
    if constexpr (kStride == 1) {
      for (std::int64_t c = 0; c < w.columns; ++c, at += w.column) fn(hn::LoadU(d, at));
    } else {
      std::int64_t c = 0;
      hn::Vec<D> even;
      hn::Vec<D> odd;
      for (; c + 2 <= w.columns; c += 2) {
        hn::LoadInterleaved2(d, at + c, even, odd);
        fn(even);
        fn(odd);
      }
      if (c == w.columns) continue;
      hn::LoadInterleaved2(d, at + c - 1, even, odd);
      fn(odd);
    }
  }
}

/// Adds fn() of each tap, in row-major order, where it lies.
template <int kStride, class D, class Fn>
HWY_INLINE void add_to_taps(D d, const PlainWindows& w, float* HWY_RESTRICT sums, const Fn& fn) {
  for (std::int64_t r = 0; r < w.rows; ++r) {
    float* HWY_RESTRICT at = sums + r * w.row;
    if constexpr (kStride == 1) {
      for (std::int64_t c = 0; c < w.columns; ++c, at += w.column) {
        hn::StoreU(hn::Add(hn::LoadU(d, at), fn()), d, at);
      }
    } else {
      std::int64_t c = 0;
      hn::Vec<D> even;
      hn::Vec<D> odd;
      for (; c + 2 <= w.columns; c += 2) {
        hn::LoadInterleaved2(d, at + c, even, odd);
        even = hn::Add(even, fn());
        odd = hn::Add(odd, fn());
        hn::StoreInterleaved2(even, odd, d, at + c);
      }
      if (c == w.columns) continue;
      hn::LoadInterleaved2(d, at + c - 1, even, odd);
      odd = hn::Add(odd, fn());
      hn::StoreInterleaved2(even, odd, d, at + c - 1);
    }
  }
}

/// Calls fn(d, first window) for as many windows as a vector of each width takes, widest first.
template <class Fn>
HWY_INLINE void for_each_vector(std::int64_t count, const Fn& fn) {
  const hn::CappedTag<float, 16> wide;
  const hn::CappedTag<float, 4> four;
  const hn::CappedTag<float, 1> one;
  std::int64_t at = 0;
  const auto each = [&](auto d) HWY_ATTR {
    const auto step = static_cast<std::int64_t>(hn::Lanes(d));
    for (; at + step <= count; at += step) fn(d, at);
  };
  each(wide);
  each(hn::CappedTag<float, 8>());
  each(four);
  each(one);
}

template <int kStride>
void plain_max(const PlainWindows& w, const float* x, float* to) {
  for_each_vector(w.count, [&](auto d, std::int64_t first) HWY_ATTR {
    auto best = hn::Set(d, -std::numeric_limits<float>::infinity());
    for_each_tap<kStride>(d, w, x + first * kStride, [&](auto value) HWY_ATTR {
      const auto stays = best_stays(value, best);
      best = hn::IfThenElse(stays, best, value);
    });
    hn::StoreU(best, d, to + first);
  });
}

template <int kStride>
void plain_average(const PlainWindows& w, float factor, const float* x, float* to) {
  for_each_vector(w.count, [&](auto d, std::int64_t first) HWY_ATTR {
    auto total = hn::Zero(d);
    for_each_tap<kStride>(d, w, x + first * kStride,
                          [&](auto value) HWY_ATTR { total = hn::Add(total, value); });
    hn::StoreU(hn::Mul(total, hn::Set(d, factor)), d, to + first);
  });
}

template <int kStride>
void plain_max_grad(const PlainWindows& w, const float* x, const float* gradient, float* sums) {
  for_each_vector(w.count, [&](auto d, std::int64_t first) HWY_ATTR {
    const auto one = hn::Set(d, 1.0f);
    auto best = hn::Set(d, -std::numeric_limits<float>::infinity());
    auto winner = hn::Zero(d);
    auto tap = hn::Zero(d);
    for_each_tap<kStride>(d, w, x + first * kStride, [&](auto value) HWY_ATTR {
      const auto stays = best_stays(value, best);
      best = hn::IfThenElse(stays, best, value);
      winner = hn::IfThenElse(stays, winner, tap);
      tap = hn::Add(tap, one);
    });
    const auto g = hn::LoadU(d, gradient + first);
    tap = hn::Zero(d);
    add_to_taps<kStride>(d, w, sums + first * kStride, [&]() HWY_ATTR {
      const auto part = hn::IfThenElseZero(hn::Eq(winner, tap), g);
      tap = hn::Add(tap, one);
      return part;
    });
  });
}

void plain_max_any(const PlainWindows& w, const float* x, float* to) {
  w.stride == 1 ? plain_max<1>(w, x, to) : plain_max<2>(w, x, to);
}
void plain_average_any(const PlainWindows& w, float factor, const float* x, float* to) {
  w.stride == 1 ? plain_average<1>(w, factor, x, to) : plain_average<2>(w, factor, x, to);
}
void plain_max_grad_any(const PlainWindows& w, const float* x, const float* gradient, float* sums) {
  w.stride == 1 ? plain_max_grad<1>(w, x, gradient, sums) : plain_max_grad<2>(w, x, gradient, sums);
}

const PlainWindowsCode& find_plain_windows() {
  static constexpr PlainWindowsCode kCode{plain_max_any, plain_average_any, plain_max_grad_any};
  return kCode;
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
HWY_EXPORT(find_plain_windows);

}  // namespace

MaxWindowFn max_window_fn() { return HWY_DYNAMIC_DISPATCH(find_max_window)(); }
MaxWindowGradFn max_window_grad_fn() { return HWY_DYNAMIC_DISPATCH(find_max_window_grad)(); }
const PlainWindowsCode& plain_windows() { return HWY_DYNAMIC_DISPATCH(find_plain_windows)(); }

}  // namespace ingot::cpu
#endif  // HWY_ONCE
