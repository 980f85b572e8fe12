#include "ingot/backends/cpu/conv_depthwise_correlate_simd.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/conv_depthwise_correlate_simd.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Columns of the result in registers; at the ends of rows, also half of them.
constexpr int kTile = 8;

/// What the tiles of one row have in common, for one vector of channels.
struct Row {
  DepthwiseColumns columns;
  const DepthwiseRow* begin;  ///< rows of the source
  const DepthwiseRow* end;
  std::int64_t source_columns, kernel_columns;
  const float* source;
  const float* weights;
  const float* bias;
  bool relu;
  float* result;  ///< of the row's first column
};

template <std::int64_t block, int tile, class D, class V>
HWY_INLINE void store_tile(D d, const Row& row, std::int64_t u, V* sum) {
  const std::int64_t step = row.columns.step * block;
  float* to = row.result + row.columns.base * block + u * step;
  if (row.relu) {
#pragma GCC unroll 8
    for (int c = 0; c < tile; ++c) {
      sum[c] = hn::IfThenZeroElse(hn::Lt(sum[c], hn::Zero(d)), sum[c]);
    }
  }
  if (row.columns.count - u >= tile) {
#pragma GCC unroll 8
    for (int c = 0; c < tile; ++c) hn::StoreU(sum[c], d, to + c * step);
    return;
  }
#pragma GCC unroll 8
  for (int c = 0; c < tile; ++c) {
    if (u + c < row.columns.count) hn::StoreU(sum[c], d, to + c * step);
  }
}

/// At which ends a tile reads taps / 2 columns outside of the source, which are left out.
enum class Ends : std::uint8_t { none, left, right, both };

/// `tile` columns of the result from the u-th on. Each column of the source is read once for all
/// taps.
template <std::int64_t block, int taps, int stride, int tile, Ends ends, class D>
HWY_INLINE void add_tile(D d, const Row& row, std::int64_t u) {
  using V = hn::Vec<D>;
  constexpr int span = (tile - 1) * stride + taps;
  constexpr int begin = ends == Ends::left || ends == Ends::both ? taps / 2 : 0;
  constexpr int end = ends == Ends::right || ends == Ends::both ? span - taps / 2 : span;
  const std::int64_t kernel_step = row.columns.kernel_step * block;
  const std::int64_t weight_row = row.kernel_columns * block;
  const std::int64_t source_row = row.source_columns * block;
  const float* HWY_RESTRICT weights = row.weights + row.columns.kernel_first * block;
  const float* HWY_RESTRICT source = row.source + (row.columns.first + u * stride) * block;
  const V bias = row.bias ? hn::LoadU(d, row.bias) : hn::Zero(d);
  V sum[tile];
#pragma GCC unroll 8
  for (int c = 0; c < tile; ++c) sum[c] = bias;
  for (const DepthwiseRow* from = row.begin; from < row.end; ++from) {
    const float* HWY_RESTRICT w = weights + from->kernel * weight_row;
    const float* HWY_RESTRICT x = source + from->source * source_row;
    V weight[taps];
#pragma GCC unroll 8
    for (int t = 0; t < taps; ++t) weight[t] = hn::LoadU(d, w + t * kernel_step);
#pragma GCC unroll 32
    for (int j = begin; j < end; ++j) {
      const V seen = hn::LoadU(d, x + j * block);
#pragma GCC unroll 8
      for (int t = 0; t < taps; ++t) {
        const int c = (j - t) / stride;
        if (j >= t && (j - t) % stride == 0 && c < tile) {
          sum[c] = hn::MulAdd(seen, weight[t], sum[c]);
        }
      }
    }
  }
  store_tile<block, tile>(d, row, u, sum);
}

/// kTile columns for any number of taps, stride and dilation, wherever they read.
template <std::int64_t block, class D>
void add_any_tile(D d, const Row& row, std::int64_t u) {
  using V = hn::Vec<D>;
  const DepthwiseColumns& at = row.columns;
  V sum[kTile];
  const V bias = row.bias ? hn::LoadU(d, row.bias) : hn::Zero(d);
#pragma GCC unroll 8
  for (V& total : sum) total = bias;
  for (const DepthwiseRow* from = row.begin; from < row.end; ++from) {
    const float* w = row.weights + (from->kernel * row.kernel_columns + at.kernel_first) * block;
    const float* x = row.source + from->source * row.source_columns * block;
    for (int t = 0; t < at.taps; ++t) {
      const V weight = hn::LoadU(d, w + t * at.kernel_step * block);
      const std::int64_t first = at.first + u * at.stride + t * at.dilation;
#pragma GCC unroll 8
      for (int c = 0; c < kTile; ++c) {
        const std::int64_t column = first + c * at.stride;
        const bool there = column >= 0 && column < row.source_columns;
        const V seen = there ? hn::LoadU(d, x + column * block) : hn::Zero(d);
        sum[c] = hn::MulAdd(seen, weight, sum[c]);
      }
    }
  }
  store_tile<block, kTile>(d, row, u, sum);
}

template <std::int64_t block, class D>
void add_any_row(D d, const Row& row) {
  for (std::int64_t u = 0; u < row.columns.count; u += kTile) add_any_tile<block>(d, row, u);
}

/// All tiles of a row; the last one begins before the end of the one before where the row is no
/// multiple of tiles.
template <std::int64_t block, int taps, int stride, int tile, class D>
HWY_INLINE void add_tiles(D d, const Row& row) {
  const std::int64_t count = row.columns.count;
  for (std::int64_t next = 0; next < count; next += tile) {
    const std::int64_t u = std::max<std::int64_t>(std::min(next, count - tile), 0);
    const std::int64_t before = -(row.columns.first + u * stride);
    const std::int64_t after = (tile - 1) * stride + taps - before - row.source_columns;
    if (count >= tile && before <= 0 && after <= 0) {
      add_tile<block, taps, stride, tile, Ends::none>(d, row, u);
    } else if (count >= tile && before == taps / 2 && after <= 0) {
      add_tile<block, taps, stride, tile, Ends::left>(d, row, u);
    } else if (count >= tile && before <= 0 && after == taps / 2) {
      add_tile<block, taps, stride, tile, Ends::right>(d, row, u);
    } else if (count >= tile && before == taps / 2 && after == taps / 2) {
      add_tile<block, taps, stride, tile, Ends::both>(d, row, u);
    } else {
      add_any_tile<block>(d, row, u);
    }
  }
}

template <std::int64_t block, int taps, int stride, class D>
void add_row(D d, const Row& row) {
  if (row.columns.count >= kTile) return add_tiles<block, taps, stride, kTile>(d, row);
  add_tiles<block, taps, stride, kTile / 2>(d, row);
}

// Instrumented by a sanitizer, all instances take minutes to compile: there, one of each stride
// stands for the others, which the code for any number of taps replaces.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef INGOT_FEW_INSTANCES
#define INGOT_FEW_INSTANCES 1
#endif
#endif
#if defined(INGOT_FEW_INSTANCES)
constexpr bool kAllInstances = false;
#else
constexpr bool kAllInstances = true;
#endif

template <class D>
using AddRow = void (*)(D d, const Row& row);

template <std::int64_t block, class D>
AddRow<D> code_for([[maybe_unused]] const DepthwiseColumns& at) {
#if HWY_TARGET != HWY_SCALAR
  // Of blocks that no layout of the target's own has, one instance is enough.
  constexpr bool own = block == 8 || HWY_TARGET <= HWY_AVX3;
  if constexpr (own) {
    if (at.dilation == 1 && at.taps == 3) {
      if (at.stride == 1) return add_row<block, 3, 1, D>;
      if (at.stride == 2) return add_row<block, 3, 2, D>;
    }
  }
  if constexpr (own && kAllInstances) {
    if (at.dilation == 1 && at.stride == 1) {
      switch (at.taps) {
        case 1: return add_row<block, 1, 1, D>;
        case 2: return add_row<block, 2, 1, D>;
        case 5: return add_row<block, 5, 1, D>;
        case 7: return add_row<block, 7, 1, D>;
        default: break;
      }
    }
    if (at.dilation == 1 && at.stride == 2 && at.taps == 5) return add_row<block, 5, 2, D>;
  }
#endif
  return add_any_row<block, D>;
}

template <std::int64_t block>
void add_rows(const DepthwiseRowsArgs& args) {
  const hn::CappedTag<float, static_cast<std::size_t>(block)> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const DepthwisePlan& plan = *args.plan;
  for (std::int64_t r = args.begin; r < args.end; ++r) {
    const DepthwiseRow* const rows = plan.rows.data();
    const auto index = static_cast<std::size_t>(r);
    for (const DepthwiseColumns& columns : plan.columns) {
      const auto add = code_for<block, decltype(d)>(columns);
      for (std::int64_t lane = 0; lane < block; lane += lanes) {
        add(d, {.columns = columns,
                .begin = rows + plan.first_row[index],
                .end = rows + plan.first_row[index + 1],
                .source_columns = plan.source_columns,
                .kernel_columns = plan.kernel_columns,
                .source = args.source - args.source_begin * plan.source_columns * block + lane,
                .weights = args.weights + lane,
                .bias = args.bias ? args.bias + lane : nullptr,
                .relu = args.relu,
                .result = args.result + (r - args.begin) * plan.result_columns * block + lane});
      }
    }
  }
}

void rows(const DepthwiseRowsArgs& args) {
  if (args.block == 16) return add_rows<16>(args);
  add_rows<8>(args);
}

#if HWY_TARGET != HWY_SCALAR
/// Rows of four elements become columns.
HWY_INLINE void transpose_4x4(const float* const* from, float* const* to) {
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<double, 2> pairs;
  const auto row0 = hn::LoadU(d, from[0]);
  const auto row1 = hn::LoadU(d, from[1]);
  const auto row2 = hn::LoadU(d, from[2]);
  const auto row3 = hn::LoadU(d, from[3]);
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, row0, row1));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, row2, row3));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, row0, row1));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, row2, row3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23)), d, to[0]);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23)), d, to[1]);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23)), d, to[2]);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23)), d, to[3]);
}
#endif

void gather(const float* const* planes, std::int64_t block, std::int64_t count, float* to) {
  for (std::int64_t c = 0; c < block; c += 4) {
    const float* const* p = planes + c;
    if (p[0] == nullptr) {
      for (std::int64_t i = 0; i < count; ++i) std::fill_n(to + i * block + c, 4, 0.0F);
      continue;
    }
    std::int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
    for (; i + 4 <= count; i += 4) {
      const float* const from[4] = {p[0] + i, p[1] + i, p[2] + i, p[3] + i};
      float* at = to + i * block + c;
      float* const columns[4] = {at, at + block, at + 2 * block, at + 3 * block};
      transpose_4x4(from, columns);
    }
#endif
    for (; i < count; ++i) {
      for (int k = 0; k < 4; ++k) to[i * block + c + k] = p[k][i];
    }
  }
}

void scatter(const float* from, std::int64_t block, std::int64_t count, float* const* planes) {
  for (std::int64_t c = 0; c < block && planes[c] != nullptr; c += 4) {
    float* const* p = planes + c;
    std::int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
    for (; i + 4 <= count; i += 4) {
      const float* at = from + i * block + c;
      const float* const rows[4] = {at, at + block, at + 2 * block, at + 3 * block};
      float* const to[4] = {p[0] + i, p[1] + i, p[2] + i, p[3] + i};
      transpose_4x4(rows, to);
    }
#endif
    for (; i < count; ++i) {
      for (int k = 0; k < 4; ++k) p[k][i] = from[i * block + c + k];
    }
  }
}

std::int64_t lanes() { return static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<float>())); }

}  // namespace ingot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {

HWY_EXPORT(rows);
HWY_EXPORT(gather);
HWY_EXPORT(scatter);
HWY_EXPORT(lanes);

}  // namespace

DepthwiseCode depthwise_code() {
  return {HWY_DYNAMIC_DISPATCH(rows), HWY_DYNAMIC_DISPATCH(gather), HWY_DYNAMIC_DISPATCH(scatter),
          HWY_DYNAMIC_DISPATCH(lanes)};
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
