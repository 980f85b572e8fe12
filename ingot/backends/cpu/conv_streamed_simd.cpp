#include "ingot/backends/cpu/conv_streamed_simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/conv_streamed_simd.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/cache_control.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// `pixels` accumulators: each vector of weights is loaded once for all of them.
template <int block, int pixels>
HWY_INLINE void accumulate(const StreamedArgs& args, std::int64_t first) {
  constexpr std::int64_t kRow = streamed_row(block);
  // Weights come from memory in order; so far ahead they are asked for.
  constexpr std::int64_t kAhead = 128 * block;
  const hn::FixedTag<float, block> d;
  using V = hn::Vec<decltype(d)>;
  const float* HWY_RESTRICT x = args.x + first * kRow;
  const float* HWY_RESTRICT w = args.w;
  float* HWY_RESTRICT y = args.y + first * block;
  V sum[pixels];
#pragma GCC unroll 16
  for (int p = 0; p < pixels; ++p) sum[p] = hn::Zero(d);
  for (std::int64_t k = 0; k < args.depth; ++k, w += block) {
    hwy::Prefetch(w + kAhead);
    const V wv = hn::LoadU(d, w);
#pragma GCC unroll 16
    for (int p = 0; p < pixels; ++p) {
      sum[p] = hn::MulAdd(hn::Set(d, x[p * kRow + k]), wv, sum[p]);
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < pixels; ++p) {
    V total = args.add ? hn::Add(hn::LoadU(d, y + p * block), sum[p]) : sum[p];
    if (args.bias != nullptr) total = hn::Add(total, hn::LoadU(d, args.bias));
    // A sum that is no number stays one.
    if (args.relu) total = hn::IfThenElse(hn::Lt(total, hn::Zero(d)), hn::Zero(d), total);
    hn::StoreU(total, d, y + p * block);
  }
}

/// Accumulators: 16 of 32 registers with 16 channels a vector, 8 of 16 with 8.
template <int block>
void multiply(const StreamedArgs& args) {
  std::int64_t first = 0;
  const auto groups = [&]<int pixels>() HWY_ATTR {
    for (; first + pixels <= args.pixels; first += pixels) {
      accumulate<block, pixels>(args, first);
    }
  };
  groups.template operator()<block>();
  groups.template operator()<block / 2>();
  groups.template operator()<block / 4>();
  groups.template operator()<1>();
}

StreamedProduct find_product(std::int64_t block) {
#if HWY_TARGET <= HWY_AVX3
  if (block == 16) return multiply<16>;
#endif
#if HWY_TARGET <= HWY_AVX2
  if (block == 8) return multiply<8>;
#endif
  (void)block;
  return nullptr;
}

}  // namespace ingot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {

HWY_EXPORT(find_product);

}  // namespace

StreamedProduct streamed_product(std::int64_t block) {
  return HWY_DYNAMIC_DISPATCH(find_product)(block);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
