// Sums over the lanes of several vectors at once. Included once for each SIMD target, within the
// re-inclusions of foreach_target.h.
#if defined(INGOT_LANE_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_LANE_SUMS_INL_H_
#undef INGOT_LANE_SUMS_INL_H_
#else
#define INGOT_LANE_SUMS_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu::HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR
/// Adds the 128-bit blocks of a vector up and stores the sum.
template <class D, class V>
HWY_INLINE void store_sum_of_blocks(D d, V v, hwy::HWY_NAMESPACE::TFromD<D>* to) {
  namespace hn = hwy::HWY_NAMESPACE;
  if constexpr (sizeof(V) > 16) {
    const hn::Half<D> half;
    store_sum_of_blocks(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)), to);
  } else {
    hn::StoreU(v, d, to);
  }
}
#endif

/// to[i] = the sum of the lanes of the i-th vector.
template <class D, class V>
HWY_INLINE void sum_lanes_of_4(D d, V v0, V v1, V v2, V v3, hwy::HWY_NAMESPACE::TFromD<D>* to) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_TARGET != HWY_SCALAR
  if constexpr (sizeof(hn::TFromD<D>) == 4) {
    // In each block of four lanes: the vectors' lanes 0 + 2 and 1 + 3, then both together.
    const V v01 = hn::Add(hn::InterleaveLower(d, v0, v1), hn::InterleaveUpper(d, v0, v1));
    const V v23 = hn::Add(hn::InterleaveLower(d, v2, v3), hn::InterleaveUpper(d, v2, v3));
    const hn::Repartition<double, D> pairs;
    const auto p01 = hn::BitCast(pairs, v01);
    const auto p23 = hn::BitCast(pairs, v23);
    const V even = hn::BitCast(d, hn::InterleaveLower(pairs, p01, p23));
    const V odd = hn::BitCast(d, hn::InterleaveUpper(pairs, p01, p23));
    return store_sum_of_blocks(d, hn::Add(even, odd), to);
  }
#endif
  to[0] = hn::GetLane(hn::SumOfLanes(d, v0));
  to[1] = hn::GetLane(hn::SumOfLanes(d, v1));
  to[2] = hn::GetLane(hn::SumOfLanes(d, v2));
  to[3] = hn::GetLane(hn::SumOfLanes(d, v3));
}

}  // namespace ingot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
