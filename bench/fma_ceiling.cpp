#include "bench/fma_ceiling.h"

#include <ctime>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/fma_ceiling.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ingot::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Returns the flops done.
double multiply_add(std::int64_t rounds, float* sink) {
  constexpr int kSums = 12;
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const V x = hn::Set(d, sink[0]);
  const V w = hn::Set(d, sink[1]);
  V sums[kSums];
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i) sums[i] = hn::Set(d, static_cast<float>(i));
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kSums; ++i) sums[i] = hn::MulAdd(sums[i], x, w);
  }
  V total = sums[0];
#pragma GCC unroll 16
  for (int i = 1; i < kSums; ++i) total = hn::Add(total, sums[i]);
  sink[2] = hn::GetLane(hn::SumOfLanes(d, total));
  return 2.0 * kSums * static_cast<double>(rounds) * static_cast<double>(hn::Lanes(d));
}

/// As kernels write their results: by way of the caches.
void copy(const float* from, float* to, std::size_t count) {
  const hn::ScalableTag<float> d;
  for (std::size_t i = 0; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
    hn::StoreU(hn::LoadU(d, from + i), d, to + i);
  }
}

}  // namespace ingot::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot {
namespace {

HWY_EXPORT(multiply_add);
HWY_EXPORT(copy);

}  // namespace

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double fma_ceiling() {
  float sink[3] = {0.5F, 0.25F, 0.0F};
  double best = 0;
  for (int repeat = 0; repeat < 20; ++repeat) {
    const double start = thread_seconds();
    const double flops = HWY_DYNAMIC_DISPATCH(multiply_add)(400000, sink);
    best = std::max(best, flops / (thread_seconds() - start));
  }
  return best;
}

double copy_ceiling() {
  constexpr std::size_t kFloats = std::size_t{48} << 20;
  const std::vector<float> from(kFloats, 1.0F);
  std::vector<float> to(kFloats);
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const double start = thread_seconds();
    HWY_DYNAMIC_DISPATCH(copy)(from.data(), to.data(), kFloats);
    best = std::max(best, 8.0 * kFloats / (thread_seconds() - start));
  }
  return best;
}

}  // namespace ingot
#endif  // HWY_ONCE
