#include "ingot/backends/cpu/conv_direct_simd.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/conv_direct_simd.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
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
      const V result = args.relu ? hn::Max(sum[o][v], hn::Zero(d)) : sum[o][v];
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

/// Positions q = u * pitch + v of a stretch that is cut into tiles, by output channel block.
template <int channels, typename T>
void correlate_stretch(const CorrelateArgs<T>& args, std::int64_t begin, std::int64_t end) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  constexpr int most = max_vectors(channels);
  HWY_ALIGN T buffer[static_cast<std::size_t>(channels) * most * (HWY_MAX_BYTES / sizeof(T))];
  std::int64_t buffer_channel[channels];
  const std::int64_t total = (end - begin + lanes - 1) / lanes;
  const std::int64_t tiles = (total + most - 1) / most;
  const std::int64_t even = (total + tiles - 1) / tiles;
  const std::int64_t block_weights = args.channels * args.num_taps * channels;
  for (std::int64_t q = begin; q < end; q += even * lanes) {
    const int vectors =
        rounded_vectors(static_cast<int>(std::min(even, (end - q + lanes - 1) / lanes)));
    const std::int64_t width = vectors * lanes;
    const std::int64_t u = q / args.pitch;
    const std::int64_t v = q - u * args.pitch;
    const bool whole = v + width <= args.columns && args.column_step == 1;
    for (int o = 0; o < channels; ++o) buffer_channel[o] = o * width;
    for (std::int64_t o = 0; o < args.out_channels; o += channels) {
      const T* weights = args.weights + o / channels * block_weights;
      const T* bias = args.bias ? args.bias + o : nullptr;
      const std::int64_t valid = std::min<std::int64_t>(channels, args.out_channels - o);
      if (whole && valid == channels) {
        correlate_vectors<channels>(vectors, args, args.planes + q, weights, bias,
                                    args.out + args.out_row[u] + v, args.out_channel + o);
        continue;
      }
      T padded_bias[channels] = {};
      if (bias) std::copy_n(bias, valid, padded_bias);
      correlate_vectors<channels>(vectors, args, args.planes + q, weights,
                                  bias ? padded_bias : nullptr, buffer, buffer_channel);
      for (std::int64_t i = 0; i < valid; ++i) {
        const T* from = buffer + i * width;
        std::int64_t row = u;
        std::int64_t column = v;
        for (std::int64_t k = 0; k < width && row < args.rows;) {
          // Nothing where the tile begins between the end of one row and the next.
          const std::int64_t count =
              std::max<std::int64_t>(std::min(args.columns - column, width - k), 0);
          T* to =
              args.out + args.out_channel[o + i] + args.out_row[row] + column * args.column_step;
          for (std::int64_t j = 0; j < count; ++j) to[j * args.column_step] = from[k + j];
          k += args.pitch - column;
          column = 0;
          ++row;
        }
      }
    }
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
    correlate_stretch<channels>(args, u * args.pitch, u * args.pitch + args.columns);
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

/// rows x columns sums of products over `length` elements.
template <int rows, int columns, typename T>
HWY_INLINE void dot_tile(const DotArgs<T>& args, const T* HWY_RESTRICT g,
                         const std::int32_t* offsets, T* sums) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V sum[rows][columns];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < columns; ++c) sum[r][c] = hn::Zero(d);
  }
  const T* HWY_RESTRICT x[columns];
  for (int c = 0; c < columns; ++c) x[c] = args.x + offsets[c];
  for (std::int64_t q = 0; q < args.length; q += lanes) {
    V gv[rows];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) gv[r] = hn::LoadU(d, g + r * args.length + q);
#pragma GCC unroll 16
    for (int c = 0; c < columns; ++c) {
      const V xv = hn::LoadU(d, x[c] + q);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) sum[r][c] = hn::MulAdd(gv[r], xv, sum[r][c]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < columns; ++c) {
      sums[r * columns + c] = hn::GetLane(hn::SumOfLanes(d, sum[r][c]));
    }
  }
}

/// One block of `rows` gradients with all columns.
template <int rows, int columns, typename T>
void dot_rows(const DotArgs<T>& args, std::int64_t row) {
  const std::int64_t valid = std::min<std::int64_t>(rows, args.rows - row);
  for (std::int64_t k = 0; k < args.num_columns; k += columns) {
    // The last tile repeats a column rather than being smaller.
    std::int32_t offsets[columns];
    const std::int64_t count = std::min<std::int64_t>(columns, args.num_columns - k);
    for (int c = 0; c < columns; ++c)
      offsets[c] = args.columns[k + std::min<std::int64_t>(c, count - 1)];
    T sums[rows * columns];
    if (2 * count <= columns) {
      dot_tile<rows, (columns + 1) / 2>(args, args.g + row * args.length, offsets, sums);
      for (int r = rows - 1; r >= 0; --r) {
        for (std::int64_t c = count - 1; c >= 0; --c) {
          sums[r * columns + c] = sums[r * ((columns + 1) / 2) + c];
        }
      }
    } else {
      dot_tile<rows, columns>(args, args.g + row * args.length, offsets, sums);
    }
    for (std::int64_t r = 0; r < valid; ++r) {
      T* to = args.sums + (row + r) * args.num_columns + k;
      for (std::int64_t c = 0; c < count; ++c) {
        to[c] = args.add ? to[c] + sums[r * columns + c] : sums[r * columns + c];
      }
    }
  }
}

template <typename T>
void dot(const DotArgs<T>& args) {
  if (args.rows == 1) return dot_rows<1, 9>(args, 0);
  for (std::int64_t row = 0; row < args.rows; row += kRows) dot_rows<kRows, kColumns>(args, row);
}

std::int64_t dot_block(std::int64_t rows) { return rows == 1 ? 1 : kRows; }

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
HWY_EXPORT(dot_block);
HWY_EXPORT(correlate_f32);
HWY_EXPORT(correlate_f64);
HWY_EXPORT(dot_f32);
HWY_EXPORT(dot_f64);

}  // namespace

template <>
DirectConv<float> direct_conv<float>() {
  return {HWY_DYNAMIC_DISPATCH(correlate_block), HWY_DYNAMIC_DISPATCH(correlate_f32),
          HWY_DYNAMIC_DISPATCH(dot_block), HWY_DYNAMIC_DISPATCH(dot_f32)};
}
template <>
DirectConv<double> direct_conv<double>() {
  return {HWY_DYNAMIC_DISPATCH(correlate_block), HWY_DYNAMIC_DISPATCH(correlate_f64),
          HWY_DYNAMIC_DISPATCH(dot_block), HWY_DYNAMIC_DISPATCH(dot_f64)};
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
