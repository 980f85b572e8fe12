#include "ingot/backends/cpu/conv_blocked_simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/conv_blocked_simd.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// `inputs` of the block's input channels, from `first`, by `blocks` vectors of output channels.
/// `fetches`: as BlockedCode::stretch.
template <int block, int inputs, int blocks, bool fetches>
HWY_INLINE void accumulate(const BlockedTapArgs& args, int first, const BlockedFetch& fetch) {
  const hn::FixedTag<float, block> d;
  using V = hn::Vec<decltype(d)>;
  V sum[inputs][blocks];
  float* HWY_RESTRICT w = args.w + std::ptrdiff_t{first} * block;
#pragma GCC unroll 16
  for (int i = 0; i < inputs; ++i) {
#pragma GCC unroll 2
    for (int b = 0; b < blocks; ++b) {
      sum[i][b] = !fetches && args.add
                      ? hn::LoadU(d, w + b * args.w_block + std::ptrdiff_t{i} * block)
                      : hn::Zero(d);
    }
  }
  for (std::int64_t n = 0; n < args.images; ++n) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
      const float* HWY_RESTRICT x = args.x + n * args.x_image + row * args.x_row + first;
      const float* HWY_RESTRICT g = args.g + n * args.g_image + row * args.g_row;
      [[maybe_unused]] const float* next = fetch.at + n * fetch.image;
      for (std::int64_t column = 0; column < args.columns; ++column) {
        if constexpr (fetches) __builtin_prefetch(next + column * block, 0, 2);
        V gv[blocks];
#pragma GCC unroll 2
        for (int b = 0; b < blocks; ++b) gv[b] = hn::LoadU(d, g + b * args.g_block);
#pragma GCC unroll 16
        for (int i = 0; i < inputs; ++i) {
          const V xv = hn::Set(d, x[i]);
#pragma GCC unroll 2
          for (int b = 0; b < blocks; ++b) sum[i][b] = hn::MulAdd(xv, gv[b], sum[i][b]);
        }
        x += args.x_column;
        g += block;
      }
    }
  }
  if (fetches && args.add) {
#pragma GCC unroll 16
    for (int i = 0; i < inputs; ++i) {
#pragma GCC unroll 2
      for (int b = 0; b < blocks; ++b) {
        const float* old = w + b * args.w_block + std::ptrdiff_t{i} * block;
        sum[i][b] = hn::Add(hn::LoadU(d, old), sum[i][b]);
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < inputs; ++i) {
#pragma GCC unroll 2
    for (int b = 0; b < blocks; ++b) {
      hn::StoreU(sum[i][b], d, w + b * args.w_block + std::ptrdiff_t{i} * block);
    }
  }
}

/// Accumulators: 16 of 32 registers with 16 channels a vector, 8 of 16 with 8.
template <int block, bool fetches>
void accumulate_block(const BlockedTapArgs& args) {
  if (args.two_blocks) {
    accumulate<block, block / 2, 2, fetches>(args, 0, args.fetch[0]);
    accumulate<block, block / 2, 2, fetches>(args, block / 2, args.fetch[1]);
  } else {
    accumulate<block, block, 1, fetches>(args, 0, args.fetch[0]);
  }
}

BlockedCode find_code(std::int64_t block) {
#if HWY_TARGET <= HWY_AVX3
  if (block == 16) return {accumulate_block<16, false>, accumulate_block<16, true>};
#endif
#if HWY_TARGET <= HWY_AVX2
  if (block == 8) return {accumulate_block<8, false>, accumulate_block<8, true>};
#endif
  (void)block;
  return {};
}

}  // namespace ingot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {

HWY_EXPORT(find_code);

}  // namespace

BlockedCode blocked_code(std::int64_t block) { return HWY_DYNAMIC_DISPATCH(find_code)(block); }

}  // namespace ingot::cpu
#endif  // HWY_ONCE
