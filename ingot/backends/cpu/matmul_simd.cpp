#include "ingot/backends/cpu/matmul_simd.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/matmul_simd.cpp"
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
constexpr int kRows = 8;
constexpr int kDotColumns = 6;
#else
constexpr int kRows = 4;
constexpr int kDotColumns = 3;
#endif
constexpr int kVectors = 3;
constexpr int kDotRows = 4;

/// A tile of c, `rows` by `vectors` vectors of which the last has `tail` lanes, for a stretch of k.
/// b's rows are `ldb` apart; `add`: to what is in c.
template <int rows, int vectors, bool transpose_a, typename T>
HWY_INLINE void plain_tile(const T* HWY_RESTRICT a, std::int64_t lda, const T* HWY_RESTRICT b,
                           std::int64_t ldb, T* HWY_RESTRICT c, std::int64_t ldc,
                           std::int64_t depth, std::int64_t tail, bool add) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto rest = static_cast<std::size_t>(tail);
  V sum[rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) sum[r][v] = hn::Zero(d);
  }
  for (std::int64_t k = 0; k < depth; ++k, b += ldb) {
    V bv[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors - 1; ++v) bv[v] = hn::LoadU(d, b + v * lanes);
    bv[vectors - 1] = load_first(d, b + (vectors - 1) * lanes, rest);
    const T* column = transpose_a ? a + k * lda : a;
#if HWY_TARGET == HWY_SCALAR
    // At once: in vectors that GCC 12 makes of pairs of them it reads a pair too much, behind the
    // last row.
    T elements[rows];
    if constexpr (transpose_a) {
      std::memcpy(elements, column, sizeof(elements));
      column = elements;
    }
#endif
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const V av = hn::Set(d, transpose_a ? column[r] : a[r * lda + k]);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) sum[r][v] = hn::MulAdd(av, bv[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    T* to = c + r * ldc;
#pragma GCC unroll 8
    for (int v = 0; v < vectors - 1; ++v) {
      const V old = add ? hn::LoadU(d, to + v * lanes) : hn::Zero(d);
      hn::StoreU(hn::Add(sum[r][v], old), d, to + v * lanes);
    }
    to += (vectors - 1) * lanes;
    const V old = add ? load_first(d, to, rest) : hn::Zero(d);
    store_first(hn::Add(sum[r][vectors - 1], old), d, to, rest);
  }
}

/// Where a column of tiles finds a's rows.
template <typename T>
struct TileRows {
  const T* a = nullptr;
  std::int64_t count = 0;
  std::int64_t lda = 0;
  std::int64_t row = 0;   ///< elements from one row to the next, by which whole tiles begin
  std::int64_t rest = 0;  ///< the same behind the last whole tile
};

/// A column of tiles: all rows of a.
template <int vectors, bool transpose_a, typename T>
void plain_column(TileRows<T> rows, const T* b, std::int64_t ldb, T* c, std::int64_t ldc,
                  std::int64_t depth, std::int64_t tail, bool add) {
  std::int64_t m = 0;
  for (; m + kRows <= rows.count; m += kRows) {
    plain_tile<kRows, vectors, transpose_a>(rows.a + m * rows.row, rows.lda, b, ldb, c + m * ldc,
                                            ldc, depth, tail, add);
  }
  const T* a = rows.a + m * rows.row;
  for (; m + 2 <= rows.count; m += 2, a += 2 * rows.rest) {
    plain_tile<2, vectors, transpose_a>(a, rows.lda, b, ldb, c + m * ldc, ldc, depth, tail, add);
  }
  if (m < rows.count) {
    plain_tile<1, vectors, transpose_a>(a, rows.lda, b, ldb, c + m * ldc, ldc, depth, tail, add);
  }
}

/// Columns of c that one copy of b serves: as many vectors each time as can be.
template <typename T>
std::int64_t panel_width(std::int64_t n) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  const std::int64_t total = (n + lanes - 1) / lanes;
  const std::int64_t panels = (total + kVectors - 1) / kVectors;
  return (total + panels - 1) / panels * lanes;
}

/// The tiles of `columns` columns, at most kVectors vectors.
template <bool transpose_a, typename T>
void plain_columns(const TileRows<T>& rows, const T* b, std::int64_t ldb, T* c, std::int64_t ldc,
                   std::int64_t columns, std::int64_t depth, bool add) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  const std::int64_t vectors = (columns + lanes - 1) / lanes;
  const std::int64_t tail = columns - (vectors - 1) * lanes;
  switch (vectors) {
    case 1: plain_column<1, transpose_a>(rows, b, ldb, c, ldc, depth, tail, add); break;
    case 2: plain_column<2, transpose_a>(rows, b, ldb, c, ldc, depth, tail, add); break;
    default: plain_column<3, transpose_a>(rows, b, ldb, c, ldc, depth, tail, add); break;
  }
}

/// `rows` rows of `columns` elements, one after another.
template <typename T>
void copy_rows(const T* from, std::int64_t ld, std::int64_t rows, std::int64_t columns, T* to,
               std::int64_t to_ld) {
  for (std::int64_t r = 0; r < rows; ++r) {
    std::memcpy(to + r * to_ld, from + r * ld, static_cast<std::size_t>(columns) * sizeof(T));
  }
}

template <bool transpose_a, typename T>
void plain_stretch(const GemmArgs<T>& args, std::int64_t k0, std::int64_t depth) {
  const std::int64_t row = transpose_a ? 1 : args.lda;
  const TileRows<T> rows{args.a + (transpose_a ? k0 * args.lda : k0), args.m, args.lda, row, row};
  const std::int64_t width = panel_width<T>(args.n);
  for (std::int64_t n = 0; n < args.n; n += width) {
    const std::int64_t columns = std::min(width, args.n - n);
    const T* b = args.b + k0 * args.ldb + n;
    std::int64_t ldb = args.ldb;
    // Read again and again, rows far apart would miss the translation buffer.
    if (args.m >= 4 * kRows && ldb * static_cast<std::int64_t>(sizeof(T)) >= 1024) {
      copy_rows(b, ldb, depth, columns, args.panel, columns);
      b = args.panel;
      ldb = columns;
    }
    plain_columns<transpose_a>(rows, b, ldb, args.c + n, args.ldc, columns, depth, k0 > 0);
  }
}

template <typename T>
void gemm_plain(const GemmArgs<T>& args) {
  for (std::int64_t k = 0; k < args.k; k += kGemmDepth) {
    const std::int64_t depth = std::min(kGemmDepth, args.k - k);
    if (args.transpose_a) {
      plain_stretch<true>(args, k, depth);
    } else {
      plain_stretch<false>(args, k, depth);
    }
  }
}

/// to[k * to_ld + r] = from[r * ld + k].
template <typename T>
void copy_transposed(const T* from, std::int64_t ld, std::int64_t rows, std::int64_t depth, T* to,
                     std::int64_t to_ld) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  T fours[4 * hn::MaxLanes(d)];
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const T* row = from + r * ld;
    std::int64_t k = 0;
    for (; k + lanes <= depth; k += lanes) {
      hn::StoreInterleaved4(hn::LoadU(d, row + k), hn::LoadU(d, row + ld + k),
                            hn::LoadU(d, row + 2 * ld + k), hn::LoadU(d, row + 3 * ld + k), d,
                            fours);
      for (std::int64_t i = 0; i < lanes; ++i) {
        std::memcpy(to + (k + i) * to_ld + r, fours + 4 * i, 4 * sizeof(T));
      }
    }
    for (; k < depth; ++k) {
      for (std::int64_t i = 0; i < 4; ++i) to[k * to_ld + r + i] = row[i * ld + k];
    }
  }
  for (; r < rows; ++r) {
    for (std::int64_t k = 0; k < depth; ++k) to[k * to_ld + r] = from[r * ld + k];
  }
}

/// Rows [m, m + count) of a stretch of a as tiles of kRows rows, the elements of a tile's rows that
/// are multiplied with the same row of b side by side.
template <typename T>
TileRows<T> copy_tile_rows(const GemmArgs<T>& args, std::int64_t m, std::int64_t count,
                           std::int64_t k0, std::int64_t depth) {
  for (std::int64_t r = 0; r < count; r += kRows) {
    const std::int64_t rows = std::min<std::int64_t>(kRows, count - r);
    T* const to = args.row_panels + r * depth;
    if (args.transpose_a) {
      copy_rows(args.a + k0 * args.lda + m + r, args.lda, depth, rows, to, kRows);
    } else {
      copy_transposed(args.a + (m + r) * args.lda + k0, args.lda, rows, depth, to, kRows);
    }
  }
  return {args.row_panels, count, kRows, depth, 1};
}

template <typename T>
void panels_stretch(const GemmArgs<T>& args, std::int64_t k0, std::int64_t depth) {
  const std::int64_t width = panel_width<T>(args.n);
  // A copy of a pays when many columns read it.
  const bool copy_a = args.n >= 2 * kGemmWidth;
  const std::int64_t most = copy_a ? kGemmRows : args.m;
  for (std::int64_t m = 0; m < args.m; m += most) {
    const std::int64_t count = std::min(most, args.m - m);
    const std::int64_t row = args.transpose_a ? 1 : args.lda;
    const TileRows<T> rows = copy_a ? copy_tile_rows(args, m, count, k0, depth)
                                    : TileRows<T>{args.a + (args.transpose_a ? k0 * args.lda : k0),
                                                  count, args.lda, row, row};
    for (std::int64_t n = 0; n < args.n; n += width) {
      const std::int64_t columns = std::min(width, args.n - n);
      if (args.transpose_b) {
        copy_transposed(args.b + n * args.ldb + k0, args.ldb, columns, depth, args.panel, columns);
      } else {
        copy_rows(args.b + k0 * args.ldb + n, args.ldb, depth, columns, args.panel, columns);
      }
      T* const c = args.c + m * args.ldc + n;
      if (copy_a || args.transpose_a) {
        plain_columns<true>(rows, args.panel, columns, c, args.ldc, columns, depth, k0 > 0);
      } else {
        plain_columns<false>(rows, args.panel, columns, c, args.ldc, columns, depth, k0 > 0);
      }
    }
  }
}

template <typename T>
void gemm_panels(const GemmArgs<T>& args) {
  for (std::int64_t k = 0; k < args.k; k += kGemmDepth) {
    panels_stretch(args, k, std::min(kGemmDepth, args.k - k));
  }
}

/// rows x columns dot products of `depth` elements.
template <int rows, int columns, typename T>
HWY_INLINE void dot_tile(const T* HWY_RESTRICT a, std::int64_t lda, const T* HWY_RESTRICT b,
                         std::int64_t ldb, std::int64_t depth, T* HWY_RESTRICT sums) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V sum[rows][columns];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < columns; ++c) sum[r][c] = hn::Zero(d);
  }
  const auto multiply = [&](auto&& load, std::int64_t k) HWY_ATTR {
    V av[rows];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) av[r] = load(a + r * lda + k);
#pragma GCC unroll 8
    for (int c = 0; c < columns; ++c) {
      const V bv = load(b + c * ldb + k);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) sum[r][c] = hn::MulAdd(av[r], bv, sum[r][c]);
    }
  };
  std::int64_t k = 0;
  for (; k + lanes <= depth; k += lanes) {
    multiply([d](const T* at) HWY_ATTR { return hn::LoadU(d, at); }, k);
  }
  if (k < depth) {
    const auto rest = static_cast<std::size_t>(depth - k);
    multiply([d, rest](const T* at) HWY_ATTR { return load_first(d, at, rest); }, k);
  }
  static_assert(rows == kDotRows || rows == 1);
#pragma GCC unroll 8
  for (int c = 0; c < columns; ++c) {
    if constexpr (rows == kDotRows) {
      sum_lanes_of_4(d, sum[0][c], sum[1][c], sum[2][c], sum[3][c], sums + c * rows);
    } else {
      const V zero = hn::Zero(d);
      T four[4];
      sum_lanes_of_4(d, sum[0][c], zero, zero, zero, four);
      sums[c] = four[0];
    }
  }
}

/// A tile of the result: `columns` columns from column n on, of the rows from m on.
template <int rows, int columns, typename T>
HWY_NOINLINE void dots_block(const GemmArgs<T>& args, std::int64_t m, std::int64_t n,
                             std::int64_t k0, std::int64_t depth) {
  T sums[rows * columns];
  dot_tile<rows, columns>(args.a + m * args.lda + k0, args.lda, args.b + n * args.ldb + k0,
                          args.ldb, depth, sums);
  for (int r = 0; r < rows; ++r) {
    T* to = args.c + (m + r) * args.ldc + n;
    for (int c = 0; c < columns; ++c) {
      const T sum = sums[c * rows + r];
      to[c] = k0 > 0 ? to[c] + sum : sum;
    }
  }
}

/// The tiles of rows [m, m + rows), columns [begin, end).
template <int rows, typename T>
void dots_row(const GemmArgs<T>& args, std::int64_t m, std::int64_t begin, std::int64_t end,
              std::int64_t k0, std::int64_t depth) {
  std::int64_t n = begin;
  for (; n + kDotColumns <= end; n += kDotColumns) {
    dots_block<rows, kDotColumns>(args, m, n, k0, depth);
  }
  // What is left in tiles as wide as can be: narrow ones read more than they multiply.
  if constexpr (kDotColumns > 4) {
    if (n + 4 <= end) {
      dots_block<rows, 4>(args, m, n, k0, depth);
      n += 4;
    }
  }
  if (n + 2 <= end) {
    dots_block<rows, 2>(args, m, n, k0, depth);
    n += 2;
  }
  if (n < end) dots_block<rows, 1>(args, m, n, k0, depth);
}

template <typename T>
void gemm_dots(const GemmArgs<T>& args) {
  // Long rows are cut so that those of a tile stay in the first-level cache, and a part of b is
  // taken with all rows of a that would otherwise be read again and again from further away.
  constexpr std::int64_t kDepth = 2 * kGemmDepth;
  constexpr std::int64_t kPartBytes = 24 << 10;
  for (std::int64_t k = 0; k < args.k; k += kDepth) {
    const std::int64_t depth = std::min(kDepth, args.k - k);
    const std::int64_t fitting = kPartBytes / (depth * static_cast<std::int64_t>(sizeof(T)));
    const std::int64_t part = std::max<std::int64_t>(fitting / kDotColumns, 1) * kDotColumns;
    for (std::int64_t n = 0; n < args.n; n += part) {
      const std::int64_t end = std::min(n + part, args.n);
      std::int64_t m = 0;
      for (; m + kDotRows <= args.m; m += kDotRows) dots_row<kDotRows>(args, m, n, end, k, depth);
      for (; m < args.m; ++m) dots_row<1>(args, m, n, end, k, depth);
    }
  }
}

template <typename T>
void finish_rows(const GemmFinish<T>& args) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto finish = [&](V sum, V bias) HWY_ATTR {
    const V y = hn::Add(sum, bias);
    // A NaN stays.
    return args.relu ? hn::IfThenZeroElse(hn::Lt(y, hn::Zero(d)), y) : y;
  };
  for (std::int64_t m = 0; m < args.m; ++m) {
    T* const c = args.c + m * args.ldc;
    std::int64_t n = 0;
    for (; n + lanes <= args.n; n += lanes) {
      const V bias = args.bias != nullptr ? hn::LoadU(d, args.bias + n) : hn::Zero(d);
      hn::StoreU(finish(hn::LoadU(d, c + n), bias), d, c + n);
    }
    if (n == args.n) continue;
    const auto rest = static_cast<std::size_t>(args.n - n);
    const V bias = args.bias != nullptr ? load_first(d, args.bias + n, rest) : hn::Zero(d);
    store_first(finish(load_first(d, c + n, rest), bias), d, c + n, rest);
  }
}

void plain_f32(const GemmArgs<float>& args) { gemm_plain(args); }
void plain_f64(const GemmArgs<double>& args) { gemm_plain(args); }
void dots_f32(const GemmArgs<float>& args) { gemm_dots(args); }
void dots_f64(const GemmArgs<double>& args) { gemm_dots(args); }
void panels_f32(const GemmArgs<float>& args) { gemm_panels(args); }
void panels_f64(const GemmArgs<double>& args) { gemm_panels(args); }
void finish_f32(const GemmFinish<float>& args) { finish_rows(args); }
void finish_f64(const GemmFinish<double>& args) { finish_rows(args); }

}  // namespace ingot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {

HWY_EXPORT(plain_f32);
HWY_EXPORT(plain_f64);
HWY_EXPORT(dots_f32);
HWY_EXPORT(dots_f64);
HWY_EXPORT(panels_f32);
HWY_EXPORT(panels_f64);
HWY_EXPORT(finish_f32);
HWY_EXPORT(finish_f64);

}  // namespace

template <>
Gemm<float> gemm<float>() {
  return {HWY_DYNAMIC_DISPATCH(plain_f32), HWY_DYNAMIC_DISPATCH(dots_f32),
          HWY_DYNAMIC_DISPATCH(panels_f32), HWY_DYNAMIC_DISPATCH(finish_f32)};
}
template <>
Gemm<double> gemm<double>() {
  return {HWY_DYNAMIC_DISPATCH(plain_f64), HWY_DYNAMIC_DISPATCH(dots_f64),
          HWY_DYNAMIC_DISPATCH(panels_f64), HWY_DYNAMIC_DISPATCH(finish_f64)};
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
