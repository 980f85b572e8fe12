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
template <int block, int inputs, int blocks>
HWY_INLINE void accumulate(const BlockedTapArgs& args, int first) {
  const hn::FixedTag<float, block> d;
  using V = hn::Vec<decltype(d)>;
  V sum[inputs][blocks];
  float* HWY_RESTRICT w = args.w + std::ptrdiff_t{first} * block;
#pragma GCC unroll 16
  for (int i = 0; i < inputs; ++i) {
#pragma GCC unroll 2
    for (int b = 0; b < blocks; ++b) {
      sum[i][b] =
          args.add ? hn::LoadU(d, w + b * args.w_block + std::ptrdiff_t{i} * block) : hn::Zero(d);
    }
  }
  for (std::int64_t n = 0; n < args.images; ++n) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
      const float* HWY_RESTRICT x = args.x + n * args.x_image + row * args.x_row + first;
      const float* HWY_RESTRICT g = args.g + n * args.g_image + row * args.g_row;
      for (std::int64_t column = 0; column < args.columns; ++column) {
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
#pragma GCC unroll 16
  for (int i = 0; i < inputs; ++i) {
#pragma GCC unroll 2
    for (int b = 0; b < blocks; ++b) {
      hn::StoreU(sum[i][b], d, w + b * args.w_block + std::ptrdiff_t{i} * block);
    }
  }
}

/// Accumulators: 16 of 32 registers with 16 channels a vector, 8 of 16 with 8.
template <int block>
void accumulate_block(const BlockedTapArgs& args) {
  if (args.two_blocks) {
    accumulate<block, block / 2, 2>(args, 0);
    accumulate<block, block / 2, 2>(args, block / 2);
  } else {
    accumulate<block, block, 1>(args, 0);
  }
}

BlockedTap find_tap(std::int64_t block) {
#if HWY_TARGET <= HWY_AVX3
  if (block == 16) return accumulate_block<16>;
#endif
#if HWY_TARGET <= HWY_AVX2
  if (block == 8) return accumulate_block<8>;
#endif
  (void)block;
  return nullptr;
}

}  // namespace ingot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {

HWY_EXPORT(find_tap);

}  // namespace

BlockedTap blocked_tap(std::int64_t block) { return HWY_DYNAMIC_DISPATCH(find_tap)(block); }

}  // namespace ingot::cpu
#endif  // HWY_ONCE
