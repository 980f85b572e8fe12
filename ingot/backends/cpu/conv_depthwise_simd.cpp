#include "ingot/backends/cpu/conv_depthwise_simd.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/conv_depthwise_simd.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

struct Span {
  std::int64_t begin, end;
};

/// Neighbouring taps of one row of the kernel: where they meet the columns of the output. Steps are
/// in elements.
template <int taps>
struct DepthwiseTaps {
  std::int64_t block;
  std::int64_t x_first;   ///< of the first tap at column 0; before the row where that is padding
  std::int64_t x_column;  ///< from column to column
  std::int64_t x_tap;     ///< from tap to tap
  Span each[taps];        ///< at which a tap lies in the input
  Span common;            ///< at which all do

  DepthwiseTaps(const ConvProblem& p, std::int64_t channels, std::int64_t first_tap)
      : block(channels),
        x_first((first_tap * p.dilation_w - p.left) * block),
        x_column(p.stride_w * block),
        x_tap(p.dilation_w * block),
        common{0, p.ow} {
    for (int t = 0; t < taps; ++t) {
      const std::int64_t at = (first_tap + t) * p.dilation_w - p.left;
      const std::int64_t begin = at >= 0 ? 0 : (p.stride_w - 1 - at) / p.stride_w;
      const std::int64_t end = at >= p.iw ? 0 : (p.iw - 1 - at) / p.stride_w + 1;
      each[t] = {std::min(begin, p.ow), std::clamp<std::int64_t>(end, 0, p.ow)};
      common = {std::max(common.begin, each[t].begin), std::min(common.end, each[t].end)};
    }
    common.end = std::max(common.begin, common.end);
  }
};

/// Columns [begin, end) of one tap.
template <class D, class V>
HWY_INLINE V add_columns(D d, V sum, std::int64_t begin, std::int64_t end, const float* x,
                         std::int64_t x_column, const float* g, std::int64_t g_column) {
  for (std::int64_t c = begin; c < end; ++c) {
    sum = hn::MulAdd(hn::LoadU(d, x + c * x_column), hn::LoadU(d, g + c * g_column), sum);
  }
  return sum;
}

/// Adds the products of one row of the kernel over output rows [begin, end) to `w`: all taps
/// together where all lie in the input, two columns at a time: that many sums hide the latency of
/// the additions. The columns at the borders follow, tap by tap.
template <int taps, class D>
HWY_INLINE void add_rows(D d, const ConvProblem& p, const DepthwiseTaps<taps>& at, std::int64_t kh,
                         Span rows, const float* HWY_RESTRICT x_plane,
                         const float* HWY_RESTRICT g_plane, float* HWY_RESTRICT w) {
  using V = hn::Vec<D>;
  V even[taps];
  V odd[taps];
#pragma GCC unroll 8
  for (int t = 0; t < taps; ++t) even[t] = odd[t] = hn::Zero(d);
  for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
    const std::int64_t ih = oh * p.stride_h + kh * p.dilation_h - p.top;
    if (ih < 0 || ih >= p.ih) continue;
    const float* HWY_RESTRICT x = x_plane + ih * p.iw * at.block;
    const float* HWY_RESTRICT g = g_plane + oh * p.ow * at.block;
    std::int64_t c = at.common.begin;
    if (at.x_column == at.x_tap && c + 2 <= at.common.end) {
      // A tap's neighbour reads at one column what it reads at the next.
      V seen[taps + 1];
#pragma GCC unroll 8
      for (int t = 0; t + 1 < taps; ++t) {
        seen[t] = hn::LoadU(d, x + (at.x_first + (c + t) * at.x_column));
      }
      for (; c + 2 <= at.common.end; c += 2) {
        const V g0 = hn::LoadU(d, g + c * at.block);
        const V g1 = hn::LoadU(d, g + (c + 1) * at.block);
        const float* last = x + (at.x_first + (c + taps - 1) * at.x_column);
        seen[taps - 1] = hn::LoadU(d, last);
        seen[taps] = hn::LoadU(d, last + at.x_column);
#pragma GCC unroll 8
        for (int t = 0; t < taps; ++t) {
          even[t] = hn::MulAdd(seen[t], g0, even[t]);
          odd[t] = hn::MulAdd(seen[t + 1], g1, odd[t]);
        }
#pragma GCC unroll 8
        for (int t = 0; t + 1 < taps; ++t) seen[t] = seen[t + 2];
      }
    }
    for (; c + 2 <= at.common.end; c += 2) {
      const V g0 = hn::LoadU(d, g + c * at.block);
      const V g1 = hn::LoadU(d, g + (c + 1) * at.block);
      const std::int64_t from = at.x_first + c * at.x_column;
#pragma GCC unroll 8
      for (int t = 0; t < taps; ++t) {
        even[t] = hn::MulAdd(hn::LoadU(d, x + (from + t * at.x_tap)), g0, even[t]);
        odd[t] = hn::MulAdd(hn::LoadU(d, x + (from + at.x_column + t * at.x_tap)), g1, odd[t]);
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < taps; ++t) {
      const float* from = x + (at.x_first + t * at.x_tap);
      even[t] = add_columns(d, even[t], at.each[t].begin, std::min(at.common.begin, at.each[t].end),
                            from, at.x_column, g, at.block);
      odd[t] = add_columns(d, odd[t], std::max(c, at.each[t].begin), at.each[t].end, from,
                           at.x_column, g, at.block);
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < taps; ++t) {
    float* to = w + t * at.block;
    hn::StoreU(hn::Add(hn::LoadU(d, to), hn::Add(even[t], odd[t])), d, to);
  }
}

/// Rows of the output in bands that stay in the first-level cache from one row of the kernel to the
/// next.
template <int taps, class D>
HWY_INLINE void add_taps(D d, const ConvProblem& p, std::int64_t block, std::int64_t first_tap,
                         const float* x, const float* g, float* w) {
  constexpr std::int64_t kBandFloats = 6144;
  const DepthwiseTaps<taps> at(p, block, first_tap);
  const std::int64_t band =
      std::max<std::int64_t>(1, (kBandFloats / (p.iw * block) - p.kh) / p.stride_h);
  for (std::int64_t oh = 0; oh < p.oh; oh += band) {
    for (std::int64_t kh = 0; kh < p.kh; ++kh) {
      add_rows<taps>(d, p, at, kh, {oh, std::min(oh + band, p.oh)}, x, g,
                     w + (kh * p.kw + first_tap) * block);
    }
  }
}

template <class D>
HWY_INLINE void add_plane(D d, const ConvProblem& p, std::int64_t block, const float* x,
                          const float* g, float* w) {
  constexpr std::int64_t kMostTaps = 5;
  const std::int64_t parts = (p.kw + kMostTaps - 1) / kMostTaps;
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::int64_t first = p.kw * part / parts;
    for (std::int64_t lane = 0; lane < block; lane += static_cast<std::int64_t>(hn::Lanes(d))) {
      const auto add = [&]<int taps>() HWY_ATTR {
        add_taps<taps>(d, p, block, first, x + lane, g + lane, w + lane);
      };
      switch (p.kw * (part + 1) / parts - first) {
        case 1: add.template operator()<1>(); break;
        case 2: add.template operator()<2>(); break;
        case 3: add.template operator()<3>(); break;
        case 4: add.template operator()<4>(); break;
        default: add.template operator()<5>(); break;
      }
    }
  }
}

void plane(const ConvProblem& problem, std::int64_t block, const float* x, const float* g,
           float* w) {
  const hn::CappedTag<float, 16> wide;
  if (block % static_cast<std::int64_t>(hn::Lanes(wide)) == 0) {
    return add_plane(wide, problem, block, x, g, w);
  }
  add_plane(hn::CappedTag<float, 8>(), problem, block, x, g, w);
}

DepthwisePlane find_plane() { return plane; }

}  // namespace ingot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {

HWY_EXPORT(find_plane);

}  // namespace

DepthwisePlane depthwise_plane() { return HWY_DYNAMIC_DISPATCH(find_plane)(); }

}  // namespace ingot::cpu
#endif  // HWY_ONCE
