#include "ingot/backends/cpu/reduce_simd.h"

#include <algorithm>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/reduce_simd.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ingot::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
namespace {

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

struct Sum {
  static constexpr float kStart = 0.0f;
  HWY_INLINE V operator()(V total, V x) const { return hn::Add(total, x); }
  static HWY_INLINE V join(V a, V b) { return hn::Add(a, b); }
  static HWY_INLINE float combine(float total, float x) { return total + x; }
};
struct Max {
  static constexpr float kStart = -std::numeric_limits<float>::infinity();
  HWY_INLINE V operator()(V best, V x) const { return join(best, x); }
  static HWY_INLINE V join(V best, V x) {
    return hn::IfThenElse(hn::Or(hn::IsNaN(best), hn::Gt(best, x)), best, x);
  }
  static HWY_INLINE float combine(float best, float x) {
    return best != best || best > x ? best : x;
  }
};

/// Four accumulators hide the latency of the operation; they, then halves of the lanes are joined
/// pairwise.
template <class Op>
HWY_INLINE float fold(const Op& op, const float* x, std::int64_t n) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V a0 = hn::Set(d, Op::kStart);
  V a1 = a0;
  V a2 = a0;
  V a3 = a0;
  std::int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    a0 = op(a0, hn::LoadU(d, x + i));
    a1 = op(a1, hn::LoadU(d, x + i + lanes));
    a2 = op(a2, hn::LoadU(d, x + i + 2 * lanes));
    a3 = op(a3, hn::LoadU(d, x + i + 3 * lanes));
  }
  for (; i + lanes <= n; i += lanes) a0 = op(a0, hn::LoadU(d, x + i));
  constexpr std::size_t kMaxLanes = 16;
  alignas(64) float rest[kMaxLanes] = {};
  alignas(64) float out[kMaxLanes] = {};
  hn::StoreU(Op::join(Op::join(a0, a1), Op::join(a2, a3)), d, out);
  for (std::int64_t half = lanes / 2; half > 0; half /= 2) {
    for (std::int64_t k = 0; k < half; ++k) out[k] = Op::combine(out[k], out[k + half]);
  }
  float result = out[0];
  if (i < n) {
    // The tail goes through the same operation, lane by lane.
    std::copy(x + i, x + n, rest);
    hn::StoreU(op(hn::Set(d, Op::kStart), hn::LoadU(d, rest)), d, out);
    for (std::int64_t k = 0; k < n - i; ++k) result = Op::combine(result, out[k]);
  }
  return result;
}

/// Columns in vectors, each over all rows; `finish(column, partial results, how many)`.
template <class Op, class Finish>
HWY_INLINE void fold_columns(const Op& op, const Finish& finish, const float* x, std::int64_t rows,
                             std::int64_t columns) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  alignas(64) float out[16];
  std::int64_t c = 0;
  for (; c + lanes <= columns; c += lanes) {
    V even = hn::Set(d, Op::kStart);
    V odd = even;
    std::int64_t r = 0;
    for (; r + 2 <= rows; r += 2) {
      even = op(even, hn::LoadU(d, x + r * columns + c));
      odd = op(odd, hn::LoadU(d, x + (r + 1) * columns + c));
    }
    if (r < rows) even = op(even, hn::LoadU(d, x + r * columns + c));
    alignas(64) float odds[16];
    hn::StoreU(even, d, out);
    hn::StoreU(odd, d, odds);
    for (std::int64_t k = 0; k < lanes; ++k) out[k] = Op::combine(out[k], odds[k]);
    finish(c, out, lanes);
  }
  for (; c < columns; ++c) finish.scalar(c, x + c, rows, columns);
}

/// Fewer columns than lanes: a vector takes several rows at once. `op` has its operands repeated
/// accordingly.
template <class Op, class Finish>
HWY_INLINE void fold_narrow(const Op& op, const Finish& finish, const float* x, std::int64_t rows,
                            std::int64_t columns) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t together = lanes / columns;
  const std::int64_t whole = rows / together;
  V even = hn::Set(d, Op::kStart);
  V odd = even;
  std::int64_t r = 0;
  for (; r + 2 <= whole; r += 2) {
    even = op(even, hn::LoadU(d, x + r * lanes));
    odd = op(odd, hn::LoadU(d, x + (r + 1) * lanes));
  }
  if (r < whole) even = op(even, hn::LoadU(d, x + r * lanes));
  alignas(64) float out[16];
  alignas(64) float odds[16];
  hn::StoreU(even, d, out);
  hn::StoreU(odd, d, odds);
  for (std::int64_t k = 0; k < lanes; ++k) out[k] = Op::combine(out[k], odds[k]);
  for (std::int64_t k = columns; k < lanes; ++k) {
    out[k % columns] = Op::combine(out[k % columns], out[k]);
  }
  finish(0, out, columns);
  const std::int64_t done = whole * together;
  for (std::int64_t c = 0; c < columns && done < rows; ++c) {
    finish.scalar(c, x + done * columns + c, rows - done, columns);
  }
}

/// Whether fold_narrow takes this many columns.
HWY_INLINE bool is_narrow(std::int64_t columns) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(D()));
  return columns < lanes && lanes % columns == 0;
}

struct SumColumns {
  double* acc;
  HWY_INLINE void operator()(std::int64_t c, const float* part, std::int64_t n) const {
    for (std::int64_t k = 0; k < n; ++k) acc[c + k] += static_cast<double>(part[k]);
  }
  HWY_INLINE void scalar(std::int64_t c, const float* x, std::int64_t rows,
                         std::int64_t stride) const {
    for (std::int64_t r = 0; r < rows; ++r) acc[c] += static_cast<double>(x[r * stride]);
  }
};
struct MaxColumns {
  double* acc;
  HWY_INLINE void operator()(std::int64_t c, const float* part, std::int64_t n) const {
    for (std::int64_t k = 0; k < n; ++k) {
      acc[c + k] = static_cast<double>(Max::combine(static_cast<float>(acc[c + k]), part[k]));
    }
  }
  HWY_INLINE void scalar(std::int64_t c, const float* x, std::int64_t rows,
                         std::int64_t stride) const {
    for (std::int64_t r = 0; r < rows; ++r) (*this)(c, x + r * stride, 1);
  }
};

/// A vector of columns over all rows; four chains hide the latency of the additions.
HWY_INLINE void shifted_columns(double* sums, double* squares, const double* shift, const float* x,
                                std::int64_t rows, std::int64_t columns) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  alignas(64) float out[16];
  alignas(64) float out_squares[16];
  for (std::int64_t k = 0; k < lanes; ++k) out[k] = static_cast<float>(shift[k]);
  const V about = hn::Load(d, out);
  V s0 = hn::Zero(d);
  V s1 = s0;
  V s2 = s0;
  V s3 = s0;
  V q0 = s0;
  V q1 = s0;
  V q2 = s0;
  V q3 = s0;
  const auto add = [&](V& s, V& q, std::int64_t row) HWY_ATTR {
    const V off = hn::Sub(hn::LoadU(d, x + row * columns), about);
    s = hn::Add(s, off);
    q = hn::MulAdd(off, off, q);
  };
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    add(s0, q0, r);
    add(s1, q1, r + 1);
    add(s2, q2, r + 2);
    add(s3, q3, r + 3);
  }
  for (; r < rows; ++r) add(s0, q0, r);
  hn::Store(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), d, out);
  hn::Store(hn::Add(hn::Add(q0, q1), hn::Add(q2, q3)), d, out_squares);
  for (std::int64_t k = 0; k < lanes; ++k) {
    sums[k] += static_cast<double>(out[k]);
    squares[k] += static_cast<double>(out_squares[k]);
  }
}

}  // namespace

float sum(const float* x, std::int64_t n) { return fold(Sum(), x, n); }
float max(const float* x, std::int64_t n) { return fold(Max(), x, n); }
void column_sum(double* acc, const float* x, std::int64_t rows, std::int64_t columns) {
  if (is_narrow(columns)) return fold_narrow(Sum(), SumColumns{acc}, x, rows, columns);
  fold_columns(Sum(), SumColumns{acc}, x, rows, columns);
}
void column_max(double* acc, const float* x, std::int64_t rows, std::int64_t columns) {
  if (is_narrow(columns)) return fold_narrow(Max(), MaxColumns{acc}, x, rows, columns);
  fold_columns(Max(), MaxColumns{acc}, x, rows, columns);
}
void column_shifted_sums(double* sums, double* squares, const double* shift, const float* x,
                         std::int64_t rows, std::int64_t columns) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t c = 0;
  for (; c + lanes <= columns; c += lanes) {
    shifted_columns(sums + c, squares + c, shift + c, x + c, rows, columns);
  }
  for (; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r) {
      const double off = static_cast<double>(x[r * columns + c]) - shift[c];
      sums[c] += off;
      squares[c] += off * off;
    }
  }
}

}  // namespace ingot::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot {
namespace {
HWY_EXPORT(sum);
HWY_EXPORT(max);
HWY_EXPORT(column_sum);
HWY_EXPORT(column_max);
HWY_EXPORT(column_shifted_sums);
}  // namespace

double sum_f32(const float* x, std::int64_t n) noexcept {
  return static_cast<double>(HWY_DYNAMIC_DISPATCH(sum)(x, n));
}
float max_f32(const float* x, std::int64_t n) noexcept { return HWY_DYNAMIC_DISPATCH(max)(x, n); }
// Few columns would leave lanes empty: rows side by side are taken as one, and folded afterwards.
namespace {

constexpr std::int64_t kWide = 16;

bool folds(std::int64_t rows, std::int64_t columns) noexcept {
  return columns < kWide && kWide % columns == 0 && rows * columns % kWide == 0;
}

}  // namespace

void column_sum_f32(double* acc, const float* x, std::int64_t rows, std::int64_t columns) noexcept {
  if (!folds(rows, columns)) return HWY_DYNAMIC_DISPATCH(column_sum)(acc, x, rows, columns);
  double wide[kWide] = {};
  HWY_DYNAMIC_DISPATCH(column_sum)(wide, x, rows * columns / kWide, kWide);
  for (std::int64_t k = 0; k < kWide; ++k) acc[k % columns] += wide[k];
}
void column_max_f32(double* acc, const float* x, std::int64_t rows, std::int64_t columns) noexcept {
  if (!folds(rows, columns)) return HWY_DYNAMIC_DISPATCH(column_max)(acc, x, rows, columns);
  double wide[kWide];
  for (std::int64_t k = 0; k < kWide; ++k) wide[k] = acc[k % columns];
  HWY_DYNAMIC_DISPATCH(column_max)(wide, x, rows * columns / kWide, kWide);
  for (std::int64_t k = 0; k < kWide; ++k) {
    double& best = acc[k % columns];
    best = best != best || best > wide[k] ? best : wide[k];
  }
}
void column_shifted_sums_f32(double* sums, double* squares, const double* shift, const float* x,
                             std::int64_t rows, std::int64_t columns) noexcept {
  const auto add = [](auto... args) { HWY_DYNAMIC_DISPATCH(column_shifted_sums)(args...); };
  if (columns >= kWide || kWide % columns != 0) return add(sums, squares, shift, x, rows, columns);
  double wide_sums[kWide] = {};
  double wide_squares[kWide] = {};
  double wide_shift[kWide];
  for (std::int64_t k = 0; k < kWide; ++k) wide_shift[k] = shift[k % columns];
  const std::int64_t together = kWide / columns;
  const std::int64_t whole = rows / together;
  add(wide_sums, wide_squares, wide_shift, x, whole, kWide);
  for (std::int64_t k = 0; k < kWide; ++k) {
    sums[k % columns] += wide_sums[k];
    squares[k % columns] += wide_squares[k];
  }
  add(sums, squares, shift, x + whole * kWide, rows % together, columns);
}

}  // namespace ingot
#endif  // HWY_ONCE
