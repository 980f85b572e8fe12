#include "ingot/backends/cpu/conv_direct_simd.h"

#include <algorithm>
#include <array>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/conv_direct_simd.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "ingot/backends/cpu/lane_sums-inl.h"
#include "ingot/backends/cpu/lane_tails-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// AVX-512 and NEON have 32 vector registers, the others 16.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int kChannels = 8;
constexpr int kColumns = 6;
#else
constexpr int kChannels = 4;
constexpr int kColumns = 3;
#endif
constexpr int kRows = 4;  ///< of gradients in a dot tile

/// The larger of v and 0; NaN stays NaN.
template <class V>
HWY_INLINE V relu(V v) {
  const hn::DFromV<V> d;
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
  // The instruction gives its second operand when one is NaN.
  return hn::Max(hn::Zero(d), v);
#else
  return hn::IfThenZeroElse(hn::Lt(v, hn::Zero(d)), v);
#endif
}

/// Vectors of output positions beside `channels` channels in registers.
constexpr int max_vectors(int channels) { return channels == 1 ? 8 : 3; }

/// channels x vectors accumulators over all input channels and taps, stored to `to`.
template <int channels, int vectors, typename T>
HWY_INLINE void correlate_tile(const CorrelateArgs<T>& args, const T* HWY_RESTRICT planes,
                               const T* HWY_RESTRICT weights, const T* bias, T* HWY_RESTRICT to,
                               const std::int64_t* to_channel) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V sum[channels][vectors];
#pragma GCC unroll 8
  for (int o = 0; o < channels; ++o) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) sum[o][v] = bias ? hn::Set(d, bias[o]) : hn::Zero(d);
  }
  for (std::int64_t c = 0; c < args.channels; ++c, planes += args.channel_size) {
    for (int t = 0; t < args.num_taps; ++t, weights += channels) {
      const T* HWY_RESTRICT at = planes + args.taps[t];
      V x[vectors];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) x[v] = hn::LoadU(d, at + v * lanes);
#pragma GCC unroll 8
      for (int o = 0; o < channels; ++o) {
        const V w = hn::Set(d, weights[o]);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) sum[o][v] = hn::MulAdd(x[v], w, sum[o][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < channels; ++o) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const V result = args.relu ? relu(sum[o][v]) : sum[o][v];
      hn::StoreU(result, d, to + to_channel[o] + v * lanes);
    }
  }
}

template <int channels, typename T>
HWY_INLINE void correlate_vectors(int vectors, const CorrelateArgs<T>& args, const T* planes,
                                  const T* weights, const T* bias, T* to,
                                  const std::int64_t* to_channel) {
  switch (vectors) {
    case 1: return correlate_tile<channels, 1>(args, planes, weights, bias, to, to_channel);
    case 2: return correlate_tile<channels, 2>(args, planes, weights, bias, to, to_channel);
    case 3: return correlate_tile<channels, 3>(args, planes, weights, bias, to, to_channel);
    default:
      if constexpr (channels == 1) {
        if (vectors <= 4) {
          return correlate_tile<channels, 4>(args, planes, weights, bias, to, to_channel);
        }
        correlate_tile<channels, 8>(args, planes, weights, bias, to, to_channel);
      }
  }
}

/// Vectors that a tile of `vectors` computes: what correlate_vectors has code for.
constexpr int rounded_vectors(int vectors) { return vectors <= 4 ? vectors : 8; }

/// Copies what lies within rows of a tile that begins at (u, v).
template <typename T>
void scatter_tile(const CorrelateArgs<T>& args, const T* tile, std::int64_t width, std::int64_t u,
                  std::int64_t v, T* out) {
  for (std::int64_t k = 0; k < width && u < args.rows;) {
    // Nothing where the tile begins between the end of one row and the next.
    const std::int64_t count = std::max<std::int64_t>(std::min(args.columns - v, width - k), 0);
    T* to = out + args.out_row[u] + v * args.column_step;
    for (std::int64_t j = 0; j < count; ++j) to[j * args.column_step] = tile[k + j];
    k += args.pitch - v;
    v = 0;
    ++u;
  }
}

/// `length` positions from the beginning of row u on, cut into tiles, by output channel block.
template <int channels, typename T>
void correlate_stretch(const CorrelateArgs<T>& args, std::int64_t u, std::int64_t length) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  constexpr int most = max_vectors(channels);
  HWY_ALIGN T buffer[static_cast<std::size_t>(channels) * most * (HWY_MAX_BYTES / sizeof(T))];
  std::int64_t buffer_channel[channels];
  const std::int64_t total = (length + lanes - 1) / lanes;
  const std::int64_t tiles = (total + most - 1) / most;
  const std::int64_t even = (total + tiles - 1) / tiles;
  const std::int64_t block_weights = args.channels * args.num_taps * channels;
  std::int64_t v = 0;
  for (std::int64_t q = 0; q < length; q += even * lanes) {
    const int vectors =
        rounded_vectors(static_cast<int>(std::min(even, (length - q + lanes - 1) / lanes)));
    const std::int64_t width = vectors * lanes;
    const T* planes = args.planes + u * args.pitch + v;
    const bool whole = v + width <= args.columns && args.column_step == 1;
    for (int o = 0; o < channels; ++o) buffer_channel[o] = o * width;
    const T* weights = args.weights;
    for (std::int64_t o = 0; o < args.out_channels; o += channels, weights += block_weights) {
      const T* bias = args.bias ? args.bias + o : nullptr;
      const std::int64_t valid = std::min<std::int64_t>(channels, args.out_channels - o);
      if (whole && valid == channels) {
        correlate_vectors<channels>(vectors, args, planes, weights, bias,
                                    args.out + args.out_row[u] + v, args.out_channel + o);
        continue;
      }
      T padded_bias[channels] = {};
      if (bias) std::copy_n(bias, valid, padded_bias);
      correlate_vectors<channels>(vectors, args, planes, weights, bias ? padded_bias : nullptr,
                                  buffer, buffer_channel);
      for (std::int64_t i = 0; i < valid; ++i) {
        scatter_tile(args, buffer + i * width, width, u, v, args.out + args.out_channel[o + i]);
      }
    }
    for (v += even * lanes; v >= args.pitch; v -= args.pitch) ++u;
  }
}

/// The `part`-th of `parts` parts of what is wanted next.
template <typename T>
void fetch_next(const CorrelateArgs<T>& args, std::int64_t part, std::int64_t parts) {
  constexpr std::int64_t kLine = 64;
  const std::int64_t lines = (args.next_bytes + kLine - 1) / kLine;
  for (std::int64_t i = lines * part / parts; i < lines * (part + 1) / parts; ++i) {
    __builtin_prefetch(args.next + i * kLine, 0, 2);
  }
}

template <int channels, typename T>
void correlate_band(const CorrelateArgs<T>& args) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t by_row = args.rows * ((args.columns + lanes - 1) / lanes);
  const std::int64_t length = (args.rows - 1) * args.pitch + args.columns;
  const std::int64_t as_one = (length + lanes - 1) / lanes;
  // Narrow rows fill vectors better when the unused ends of rows are computed, too.
  if (as_one * 5 < by_row * 4) return correlate_stretch<channels>(args, 0, length);
  for (std::int64_t u = 0; u < args.rows; ++u) {
    if (args.next != nullptr) fetch_next(args, u, args.rows);
    correlate_stretch<channels>(args, u, args.columns);
  }
}

template <typename T>
void correlate(const CorrelateArgs<T>& args) {
  if (args.block == 1) return correlate_band<1>(args);
  if (args.block == 2) return correlate_band<2>(args);
  if constexpr (kChannels == 8) {
    if (args.block == 8) return correlate_band<8>(args);
  }
  correlate_band<4>(args);
}

std::int64_t correlate_block(std::int64_t out_channels) {
  for (int block = 1; block < kChannels; block *= 2) {
    if (out_channels <= block) return block;
  }
  return kChannels;
}

/// rows x columns sums of products, in the order columns, rows. `has_tail`: rows end in a part of
/// a vector.
template <int rows, int columns, bool has_tail, typename T>
HWY_INLINE void dot_tile(const DotArgs<T>& args, const std::array<const T*, rows>& g,
                         const std::int32_t* offsets, T* HWY_RESTRICT sums) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  [[maybe_unused]] const auto rest = static_cast<std::size_t>(args.length % lanes);
  V sum[rows][columns];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < columns; ++c) sum[r][c] = hn::Zero(d);
  }
  for (std::int64_t n = 0; n < args.images; ++n) {
    for (std::int64_t u = 0; u < args.rows; ++u) {
      const T* HWY_RESTRICT x = args.x + n * args.x_image + u * args.x_row;
      const std::int64_t at = n * args.g_image + u * args.g_row;
      const auto multiply = [&](auto&& load, std::int64_t q) HWY_ATTR {
        V gv[rows];
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) gv[r] = load(g[static_cast<std::size_t>(r)] + at + q);
#pragma GCC unroll 16
        for (int c = 0; c < columns; ++c) {
          const V xv = load(x + offsets[c] + q);
#pragma GCC unroll 8
          for (int r = 0; r < rows; ++r) sum[r][c] = hn::MulAdd(gv[r], xv, sum[r][c]);
        }
      };
      std::int64_t q = 0;
      for (; q + lanes <= args.length; q += lanes) {
        multiply([d](const T* from) HWY_ATTR { return hn::LoadU(d, from); }, q);
      }
      if constexpr (has_tail) {
        multiply([d, rest](const T* from) HWY_ATTR { return load_first(d, from, rest); }, q);
      }
    }
  }
#pragma GCC unroll 16
  for (int c = 0; c < columns; ++c) {
    if constexpr (rows == 4) {
      sum_lanes_of_4(d, sum[0][c], sum[1][c], sum[2][c], sum[3][c], sums + c * rows);
    } else {
      static_assert(rows == 1);
      sums[c] = hn::GetLane(hn::SumOfLanes(d, sum[0][c]));
    }
  }
}

/// One block of `rows` channels of the gradient with all columns.
template <int rows, int columns, bool has_tail, typename T>
void dot_rows(const DotArgs<T>& args, std::int64_t row) {
  const std::int64_t valid = std::min<std::int64_t>(rows, args.channels - row);
  // The last tiles repeat a channel or column rather than being smaller.
  std::array<const T*, rows> g;
  for (int r = 0; r < rows; ++r) {
    g[static_cast<std::size_t>(r)] =
        args.g + (row + std::min<std::int64_t>(r, valid - 1)) * args.g_channel;
  }
  for (std::int64_t k = 0; k < args.num_columns;) {
    std::int32_t offsets[columns];
    const std::int64_t left = args.num_columns - k;
    const std::int64_t count = std::min<std::int64_t>(columns, left);
    for (int c = 0; c < columns; ++c) {
      offsets[c] = args.columns[k + std::min<std::int64_t>(c, count - 1)];
    }
    T sums[rows * columns];
    constexpr int half = (columns + 1) / 2;
    if (count <= half) {
      dot_tile<rows, half, has_tail>(args, g, offsets, sums);
    } else {
      dot_tile<rows, columns, has_tail>(args, g, offsets, sums);
    }
    for (std::int64_t r = 0; r < valid; ++r) {
      T* to = args.sums + (row + r) * args.num_columns + k;
      for (std::int64_t c = 0; c < count; ++c) {
        const T sum = sums[c * rows + r];
        to[c] = args.add ? to[c] + sum : sum;
      }
    }
    k += count;
  }
}

template <bool has_tail, typename T>
void dot_channels(const DotArgs<T>& args) {
  if (args.channels == 1) return dot_rows<1, 9, has_tail>(args, 0);
  for (std::int64_t row = 0; row < args.channels; row += kRows) {
    dot_rows<kRows, kColumns, has_tail>(args, row);
  }
}

template <typename T>
void dot(const DotArgs<T>& args) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  if (args.length % lanes == 0) return dot_channels<false>(args);
  dot_channels<true>(args);
}

/// Zeros `width` elements, and, up to `limit`, perhaps some behind them that are written later.
template <typename T>
HWY_INLINE void zero_row(T* to, std::int64_t width, const T* limit) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i < width && to + i + lanes <= limit; i += lanes) hn::StoreU(hn::Zero(d), d, to + i);
  for (; i < width; ++i) to[i] = T(0);
}

template <typename T>
HWY_INLINE void copy_row(const T* HWY_RESTRICT from, T* HWY_RESTRICT to, std::int64_t width) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  if (width < lanes) {
    for (std::int64_t i = 0; i < width; ++i) to[i] = from[i];
    return;
  }
  for (std::int64_t i = 0; i + lanes <= width; i += lanes) {
    hn::StoreU(hn::LoadU(d, from + i), d, to + i);
  }
  if (width % lanes == 0) return;
  // The last vector overlaps the one before.
  const std::int64_t last = width - lanes;
  hn::StoreU(hn::LoadU(d, from + last), d, to + last);
}

/// A plane's rows in memory: `before` zeros, `width` elements of the source, zeros up to the pitch.
/// `source(r)` is where those of row r begin, or null for a row of zeros.
template <typename T, class Source>
HWY_INLINE void fill_rows(T* to, std::int64_t rows, std::int64_t pitch, std::int64_t before,
                          std::int64_t width, const Source& source) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const T* limit = to + rows * pitch;
  const std::int64_t after = pitch - before - width;
  // One vector of zeros serves the end of a row and the beginning of the next.
  const bool shared = after > 0 && after + before <= lanes;
  bool begun = false;
  for (std::int64_t r = 0; r < rows; ++r, to += pitch) {
    const T* from = source(r);
    if (from == nullptr) {
      zero_row(to, pitch, limit);
      begun = false;
      continue;
    }
    if (!begun) zero_row(to, before, limit);
    copy_row(from, to + before, width);
    T* const end = to + before + width;
    begun = shared && end + lanes <= limit;
    if (begun) {
      hn::StoreU(hn::Zero(d), d, end);
    } else {
      zero_row(end, after, limit);
    }
  }
}

/// Every second element.
template <typename T>
HWY_INLINE void copy_even(const T* HWY_RESTRICT from, T* HWY_RESTRICT to, std::int64_t width) {
  std::int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  // One element short of the end: the odd neighbour of the last one may not be there.
  for (; i + lanes < width; i += lanes) {
    const auto low = hn::LoadU(d, from + 2 * i);
    const auto high = hn::LoadU(d, from + 2 * i + lanes);
    hn::StoreU(hn::ConcatEven(d, high, low), d, to + i);
  }
#endif
  for (; i < width; ++i) to[i] = from[2 * i];
}

template <typename T>
void fill(const PlaneGeometry& plan, const FillArgs<T>& args) {
  const std::int64_t step = plan.phase_columns * args.source_column;
  for (std::int64_t a = 0; a < plan.phase_rows; ++a) {
    for (std::int64_t b = 0; b < plan.phase_columns; ++b) {
      // Columns of the plane that lie in the source.
      const std::int64_t begin =
          std::clamp<std::int64_t>(divide_up(plan.left - b, plan.phase_columns), 0, plan.pitch);
      const std::int64_t end = std::clamp<std::int64_t>(
          divide_up(plan.source_columns + plan.left - b, plan.phase_columns), begin, plan.pitch);
      const std::int64_t first = (begin * plan.phase_columns + b - plan.left) * args.source_column;
      T* to = args.planes + (a * plan.phase_columns + b) * args.phase_size;
      const std::int64_t rows = args.rows + plan.halo;
      const auto source = [&](std::int64_t r) -> const T* {
        const std::int64_t row = (args.u0 + r) * plan.phase_rows + a - plan.top;
        if (row < 0 || row >= plan.source_rows || begin == end) return nullptr;
        return args.source + args.source_row[row] + first;
      };
      if (step == 1) {
        fill_rows(to, rows, plan.pitch, begin, end - begin, source);
        continue;
      }
      const T* limit = to + rows * plan.pitch;
      for (std::int64_t r = 0; r < rows; ++r, to += plan.pitch) {
        const T* from = source(r);
        if (from == nullptr) {
          zero_row(to, plan.pitch, limit);
          continue;
        }
        zero_row(to, begin, limit);
        if (step == 2) {
          copy_even(from, to + begin, end - begin);
        } else {
          for (std::int64_t s = begin; s < end; ++s, from += step) to[s] = *from;
        }
        zero_row(to + end, plan.pitch - end, limit);
      }
    }
  }
}

std::int64_t lanes_f32() { return static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<float>())); }
std::int64_t lanes_f64() { return static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<double>())); }
void fill_f32(const PlaneGeometry& plan, const FillArgs<float>& args) { fill(plan, args); }
void fill_f64(const PlaneGeometry& plan, const FillArgs<double>& args) { fill(plan, args); }
void correlate_f32(const CorrelateArgs<float>& args) { correlate(args); }
void correlate_f64(const CorrelateArgs<double>& args) { correlate(args); }
void dot_f32(const DotArgs<float>& args) { dot(args); }
void dot_f64(const DotArgs<double>& args) { dot(args); }

}  // namespace ingot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {

HWY_EXPORT(correlate_block);
HWY_EXPORT(lanes_f32);
HWY_EXPORT(lanes_f64);
HWY_EXPORT(fill_f32);
HWY_EXPORT(fill_f64);
HWY_EXPORT(correlate_f32);
HWY_EXPORT(correlate_f64);
HWY_EXPORT(dot_f32);
HWY_EXPORT(dot_f64);

}  // namespace

template <>
DirectConv<float> direct_conv<float>() {
  return {HWY_DYNAMIC_DISPATCH(correlate_block), HWY_DYNAMIC_DISPATCH(correlate_f32),
          HWY_DYNAMIC_DISPATCH(dot_f32), HWY_DYNAMIC_DISPATCH(fill_f32),
          HWY_DYNAMIC_DISPATCH(lanes_f32)};
}
template <>
DirectConv<double> direct_conv<double>() {
  return {HWY_DYNAMIC_DISPATCH(correlate_block), HWY_DYNAMIC_DISPATCH(correlate_f64),
          HWY_DYNAMIC_DISPATCH(dot_f64), HWY_DYNAMIC_DISPATCH(fill_f64),
          HWY_DYNAMIC_DISPATCH(lanes_f64)};
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
