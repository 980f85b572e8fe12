#include "ingot/backends/cpu/conv_winograd_simd.h"

#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/conv_winograd_simd.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// A block of channels is one vector or several.
const hn::CappedTag<float, 8> kD8;
constexpr int kSide = 4;  // of a transformed tile

#if HWY_TARGET <= HWY_AVX3
using D16 = hn::CappedTag<float, 16>;
#endif

// AVX-512 and NEON have 32 vector registers, the others 16.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int kAccumulators = 24;
#else
constexpr int kAccumulators = 12;
#endif

template <class V>
HWY_INLINE void input_combination(V d0, V d1, V d2, V d3, V (&t)[kSide]) {
  t[0] = hn::Sub(d0, d2);
  t[1] = hn::Add(d1, d2);
  t[2] = hn::Sub(d2, d1);
  t[3] = hn::Sub(d1, d3);
}

/// `inside`: no row of the tiles lies outside of the image.
template <bool inside, class D>
HWY_INLINE void input_lanes(D d, const WinogradTiles& args, const float* HWY_RESTRICT image,
                            float* HWY_RESTRICT to) {
  using V = hn::Vec<D>;
  const float* rows[kSide];
  for (int r = 0; r < kSide; ++r) {
    const std::int64_t row = args.row + r;
    rows[r] =
        inside || (row >= 0 && row < args.rows) ? image + row * args.columns * args.block : nullptr;
  }
  // Down the rows of one column; neighbouring tiles share two columns.
  const auto combine = [&](std::int64_t column, V(&t)[kSide]) HWY_ATTR {
    if (column < 0 || column >= args.columns) {
      for (V& v : t) v = hn::Zero(d);
      return;
    }
    const std::int64_t at = column * args.block;
    const auto load = [&](int r) HWY_ATTR {
      return inside || rows[r] != nullptr ? hn::LoadU(d, rows[r] + at) : hn::Zero(d);
    };
    input_combination(load(0), load(1), load(2), load(3), t);
  };
  V a[kSide];
  V b[kSide];
  std::int64_t column = args.column;
  combine(column, a);
  combine(column + 1, b);
  for (std::int64_t tile = 0; tile < args.tiles; ++tile, column += 2, to += args.tile) {
    V c[kSide];
    V e[kSide];
    combine(column + 2, c);
    combine(column + 3, e);
#pragma GCC unroll 4
    for (int r = 0; r < kSide; ++r) {
      float* HWY_RESTRICT plane = to + r * kSide * args.plane;
      V t[kSide];
      input_combination(a[r], b[r], c[r], e[r], t);
#pragma GCC unroll 4
      for (int q = 0; q < kSide; ++q) hn::StoreU(t[q], d, plane + q * args.plane);
      a[r] = c[r];
      b[r] = e[r];
    }
  }
}

template <class D>
HWY_INLINE void input_block(D d, const WinogradTiles& args, const float* image, float* to) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const bool inside = args.row >= 0 && args.row + kSide <= args.rows;
  for (std::int64_t i = 0; i < args.block; i += lanes) {
    if (inside) {
      input_lanes<true>(d, args, image + i, to + i);
    } else {
      input_lanes<false>(d, args, image + i, to + i);
    }
  }
}

template <class D>
HWY_INLINE void output_block(D d, const WinogradTiles& args, const WinogradEpilogue& epilogue,
                             const float* HWY_RESTRICT from, float* HWY_RESTRICT image) {
  using V = hn::Vec<D>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const bool two_rows = args.row + 1 < args.rows;
  for (std::int64_t i = 0; i < args.block; i += lanes) {
    const V bias = epilogue.bias ? hn::LoadU(d, epilogue.bias + i) : hn::Zero(d);
    const float* HWY_RESTRICT m = from + i;
    std::int64_t column = args.column;
    for (std::int64_t tile = 0; tile < args.tiles; ++tile, column += 2, m += args.tile) {
      V upper[kSide];
      V lower[kSide];
#pragma GCC unroll 4
      for (int q = 0; q < kSide; ++q) {
        const V m0 = hn::LoadU(d, m + q * args.plane);
        const V m1 = hn::LoadU(d, m + (q + kSide) * args.plane);
        const V m2 = hn::LoadU(d, m + (q + 2 * kSide) * args.plane);
        const V m3 = hn::LoadU(d, m + (q + 3 * kSide) * args.plane);
        upper[q] = hn::Add(hn::Add(m0, m1), m2);
        lower[q] = hn::Sub(hn::Sub(m1, m2), m3);
      }
      const auto store = [&](V value, std::int64_t row, std::int64_t at) HWY_ATTR {
        value = hn::Add(value, bias);
        // NaN stays NaN.
        if (epilogue.relu) value = hn::IfThenZeroElse(hn::Lt(value, hn::Zero(d)), value);
        hn::StoreU(value, d, image + (row * args.columns + at) * args.block + i);
      };
      const bool two_columns = column + 1 < args.columns;
      store(hn::Add(hn::Add(upper[0], upper[1]), upper[2]), args.row, column);
      if (two_columns) {
        store(hn::Sub(hn::Sub(upper[1], upper[2]), upper[3]), args.row, column + 1);
      }
      if (two_rows) {
        store(hn::Add(hn::Add(lower[0], lower[1]), lower[2]), args.row + 1, column);
        if (two_columns) {
          store(hn::Sub(hn::Sub(lower[1], lower[2]), lower[3]), args.row + 1, column + 1);
        }
      }
    }
  }
}

template <class V>
HWY_INLINE void weight_combination(V half, V g0, V g1, V g2, V (&t)[kSide]) {
  const V sides = hn::Mul(half, hn::Add(g0, g2));
  t[0] = g0;
  t[1] = hn::MulAdd(half, g1, sides);
  t[2] = hn::NegMulAdd(half, g1, sides);
  t[3] = g2;
}

/// One row; taps are `tap` elements apart, in the order of `first` + i * `tap`.
template <class D>
HWY_INLINE void weight_row(D d, const WinogradWeights& args, const float* HWY_RESTRICT weights,
                           std::int64_t tap, float* HWY_RESTRICT to) {
  using V = hn::Vec<D>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const V half = hn::Set(d, 0.5F);
  for (std::int64_t i = 0; i < args.block; i += lanes) {
    V down[3][kSide];
#pragma GCC unroll 3
    for (int column = 0; column < 3; ++column) {
      const float* at = weights + column * tap + i;
      weight_combination(half, hn::LoadU(d, at), hn::LoadU(d, at + 3 * tap),
                         hn::LoadU(d, at + 6 * tap), down[column]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < kSide; ++r) {
      V t[kSide];
      weight_combination(half, down[0][r], down[1][r], down[2][r], t);
#pragma GCC unroll 4
      for (int q = 0; q < kSide; ++q) hn::StoreU(t[q], d, to + (r * kSide + q) * args.plane + i);
    }
  }
}

template <class D>
HWY_INLINE void weight_block(D d, const WinogradWeights& args, const float* weights, float* to) {
  for (std::int64_t in = 0; in < args.block; ++in) {
    weight_row(d, args, weights + in * args.block, args.block * args.block, to + in * args.row);
  }
}

/// to[column][row] = from[row][column] of block x block elements.
template <int block>
HWY_INLINE void transpose_block(const float* HWY_RESTRICT from, float* HWY_RESTRICT to) {
#if HWY_TARGET == HWY_SCALAR
  for (int row = 0; row < block; ++row) {
    for (int column = 0; column < block; ++column)
      to[column * block + row] = from[row * block + column];
  }
#else
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<double, 2> pairs;
  const auto join = [&](auto low, auto high) HWY_ATTR {
    return std::pair(hn::BitCast(d, hn::InterleaveLower(pairs, hn::BitCast(pairs, low),
                                                        hn::BitCast(pairs, high))),
                     hn::BitCast(d, hn::InterleaveUpper(pairs, hn::BitCast(pairs, low),
                                                        hn::BitCast(pairs, high))));
  };
  for (int row = 0; row < block; row += 4) {
    for (int column = 0; column < block; column += 4) {
      const float* at = from + row * block + column;
      const auto r0 = hn::LoadU(d, at);
      const auto r1 = hn::LoadU(d, at + block);
      const auto r2 = hn::LoadU(d, at + 2 * block);
      const auto r3 = hn::LoadU(d, at + 3 * block);
      const auto [c0, c1] = join(hn::InterleaveLower(d, r0, r1), hn::InterleaveLower(d, r2, r3));
      const auto [c2, c3] = join(hn::InterleaveUpper(d, r0, r1), hn::InterleaveUpper(d, r2, r3));
      float* out = to + column * block + row;
      hn::StoreU(c0, d, out);
      hn::StoreU(c1, d, out + block);
      hn::StoreU(c2, d, out + 2 * block);
      hn::StoreU(c3, d, out + 3 * block);
    }
  }
#endif
}

template <int block, class D>
HWY_INLINE void flipped_weight_block(D d, const WinogradWeights& args, const float* weights,
                                     float* to) {
  constexpr int kTaps = 9;
  constexpr int kArea = block * block;
  HWY_ALIGN float rows[kTaps * kArea];
  for (int tap = 0; tap < kTaps; ++tap) {
    transpose_block<block>(weights + (kTaps - 1 - tap) * kArea, rows + tap * kArea);
  }
  for (int out = 0; out < block; ++out) {
    weight_row(d, args, rows + out * block, kArea, to + out * args.row);
  }
}

template <class V>
HWY_INLINE void gradient_combination(V g0, V g1, V (&t)[kSide]) {
  t[0] = g0;
  t[1] = hn::Add(g0, g1);
  t[2] = hn::Sub(g0, g1);
  t[3] = g1;
}

template <class D>
HWY_INLINE void gradient_block(D d, const WinogradTiles& args, const float* HWY_RESTRICT image,
                               float* HWY_RESTRICT to) {
  using V = hn::Vec<D>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const bool two_rows = args.row + 1 < args.rows;
  for (std::int64_t i = 0; i < args.block; i += lanes) {
    const float* upper = image + args.row * args.columns * args.block + i;
    const float* lower = upper + args.columns * args.block;
    std::int64_t column = args.column;
    float* HWY_RESTRICT planes = to + i;
    for (std::int64_t tile = 0; tile < args.tiles; ++tile, column += 2, planes += args.tile) {
      const bool two_columns = column + 1 < args.columns;
      const std::int64_t at = column * args.block;
      const V zero = hn::Zero(d);
      V left[kSide];
      V right[kSide];
      gradient_combination(hn::LoadU(d, upper + at), two_rows ? hn::LoadU(d, lower + at) : zero,
                           left);
      gradient_combination(two_columns ? hn::LoadU(d, upper + at + args.block) : zero,
                           two_columns && two_rows ? hn::LoadU(d, lower + at + args.block) : zero,
                           right);
#pragma GCC unroll 4
      for (int r = 0; r < kSide; ++r) {
        V t[kSide];
        gradient_combination(left[r], right[r], t);
#pragma GCC unroll 4
        for (int q = 0; q < kSide; ++q) {
          hn::StoreU(t[q], d, planes + (r * kSide + q) * args.plane);
        }
      }
    }
  }
}

template <class V>
HWY_INLINE void weight_sum_combination(V half, V s0, V s1, V s2, V s3, V (&t)[3]) {
  const V sum = hn::Mul(half, hn::Add(s1, s2));
  t[0] = hn::Add(s0, sum);
  t[1] = hn::Mul(half, hn::Sub(s1, s2));
  t[2] = hn::Sub(sum, s3);
}

template <class D>
HWY_INLINE void weight_sums_block(D d, const WinogradWeights& args, const float* HWY_RESTRICT from,
                                  float* HWY_RESTRICT weights) {
  using V = hn::Vec<D>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const V half = hn::Set(d, 0.5F);
  for (std::int64_t in = 0; in < args.block; ++in) {
    for (std::int64_t i = 0; i < args.block; i += lanes) {
      const float* at = from + in * args.row + i;
      V down[kSide][3];
#pragma GCC unroll 4
      for (int q = 0; q < kSide; ++q) {
        const auto load = [&](int r)
                              HWY_ATTR { return hn::LoadU(d, at + (r * kSide + q) * args.plane); };
        weight_sum_combination(half, load(0), load(1), load(2), load(3), down[q]);
      }
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) {
        V t[3];
        weight_sum_combination(half, down[0][r], down[1][r], down[2][r], down[3][r], t);
#pragma GCC unroll 3
        for (int q = 0; q < 3; ++q) {
          hn::StoreU(t[q], d, weights + ((r * 3 + q) * args.block + in) * args.block + i);
        }
      }
    }
  }
}

/// rows x vectors accumulators over all of k.
template <int rows, int vectors, bool transpose_a, class D>
HWY_INLINE void product_tile(D d, const WinogradProduct& args, const float* HWY_RESTRICT a,
                             const float* HWY_RESTRICT b, float* HWY_RESTRICT c) {
  using V = hn::Vec<D>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V sum[rows][vectors];
#pragma GCC unroll 24
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[r][v] = hn::Zero(d);
  }
  for (std::int64_t k = 0; k < args.k; ++k, b += args.ldb) {
    V bv[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) bv[v] = hn::LoadU(d, b + v * lanes);
#pragma GCC unroll 24
    for (int r = 0; r < rows; ++r) {
      const V av = hn::Set(d, transpose_a ? a[k * args.lda + r] : a[r * args.lda + k]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sum[r][v] = hn::MulAdd(av, bv[v], sum[r][v]);
    }
  }
#pragma GCC unroll 24
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      float* to = c + r * args.ldc + v * lanes;
      hn::StoreU(args.add ? hn::Add(sum[r][v], hn::LoadU(d, to)) : sum[r][v], d, to);
    }
  }
}

template <int vectors, bool transpose_a, class D>
HWY_INLINE void product_strip(D d, const WinogradProduct& args, std::int64_t n) {
  constexpr int kRows = kAccumulators / vectors;
  const std::int64_t row = transpose_a ? 1 : args.lda;
  const float* b = args.b + n;
  std::int64_t m = 0;
  const auto tiles = [&]<int rows>() HWY_ATTR {
    for (; m + rows <= args.m; m += rows) {
      product_tile<rows, vectors, transpose_a>(d, args, args.a + m * row, b,
                                               args.c + m * args.ldc + n);
    }
  };
  tiles.template operator()<kRows>();
  if constexpr (kRows > 4) tiles.template operator()<4>();
  if constexpr (kRows > 2) tiles.template operator()<2>();
  tiles.template operator()<1>();
}

template <bool transpose_a>
void multiply(const WinogradProduct& args) {
  const hn::CappedTag<float, 16> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t n = 0;
  if constexpr (kAccumulators == 24) {
    for (; n + 4 * lanes <= args.n; n += 4 * lanes) product_strip<4, transpose_a>(d, args, n);
  }
  for (; n + 2 * lanes <= args.n; n += 2 * lanes) product_strip<2, transpose_a>(d, args, n);
  for (; n + lanes <= args.n; n += lanes) product_strip<1, transpose_a>(d, args, n);
  // Half a vector is left when a vector has 16 lanes and a block 8.
  for (; n < args.n; n += 8) product_strip<1, transpose_a>(kD8, args, n);
}

/// Calls fn with the tag of the vectors that a block consists of.
template <typename Fn>
HWY_INLINE void with_vectors(std::int64_t block, const Fn& fn) {
#if HWY_TARGET <= HWY_AVX3
  if (block % 16 == 0) return fn(D16());
#endif
  (void)block;
  fn(kD8);
}

void input(const WinogradTiles& tiles, const float* image, float* to) {
  with_vectors(tiles.block, [&](auto d) HWY_ATTR { input_block(d, tiles, image, to); });
}
void output(const WinogradTiles& tiles, const WinogradEpilogue& epilogue, const float* from,
            float* image) {
  with_vectors(tiles.block,
               [&](auto d) HWY_ATTR { output_block(d, tiles, epilogue, from, image); });
}
void gradient(const WinogradTiles& tiles, const float* image, float* to) {
  with_vectors(tiles.block, [&](auto d) HWY_ATTR { gradient_block(d, tiles, image, to); });
}
void weights(const WinogradWeights& args, const float* from, float* to) {
  with_vectors(args.block, [&](auto d) HWY_ATTR { weight_block(d, args, from, to); });
}
void flipped_weights(const WinogradWeights& args, const float* from, float* to) {
  with_vectors(args.block, [&](auto d) HWY_ATTR {
    if (args.block == 16) {
      flipped_weight_block<16>(d, args, from, to);
    } else {
      flipped_weight_block<8>(d, args, from, to);
    }
  });
}
void weight_sums(const WinogradWeights& args, const float* from, float* to) {
  with_vectors(args.block, [&](auto d) HWY_ATTR { weight_sums_block(d, args, from, to); });
}
void product(const WinogradProduct& args) { multiply<false>(args); }
void transposed_product(const WinogradProduct& args) { multiply<true>(args); }

WinogradCode code() {
  return {input,    output,      weights, flipped_weights,
          gradient, weight_sums, product, transposed_product};
}

}  // namespace ingot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {

HWY_EXPORT(code);

}  // namespace

WinogradCode winograd_code() { return HWY_DYNAMIC_DISPATCH(code)(); }

}  // namespace ingot::cpu
#endif  // HWY_ONCE
