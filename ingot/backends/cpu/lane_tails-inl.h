// Vectors of which memory holds only the first lanes: the rest is neither read nor written.
// Included once for each SIMD target, within the re-inclusions of foreach_target.h.
#if defined(INGOT_LANE_TAILS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_LANE_TAILS_INL_H_
#undef INGOT_LANE_TAILS_INL_H_
#else
#define INGOT_LANE_TAILS_INL_H_
#endif

#include <cstddef>

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu::HWY_NAMESPACE {

// Highway's MaskedLoad and BlendedStore touch the whole vector where a target has no masks of
// lanes, as NEON: a load past the end of a caller's memory may fault, and a store puts back what
// another thread may have written in between.

/// The first `count` lanes from memory, 0 in the others; `count` from 1 to all of them, of 4 or 8
/// bytes each.
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> load_first(
    D d, const hwy::HWY_NAMESPACE::TFromD<D>* HWY_RESTRICT from,
    [[maybe_unused]] std::size_t count) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_TARGET == HWY_SCALAR
  return hn::LoadU(d, from);
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  return hn::MaskedLoad(hn::FirstN(d, count), d, from);
#else
  static_assert(hn::MaxLanes(d) == 4 || hn::MaxLanes(d) == 2);
  if (count == hn::MaxLanes(d)) return hn::LoadU(d, from);
  const hn::Half<D> half;
  if constexpr (hn::MaxLanes(d) == 4) {
    const hn::Half<decltype(half)> one;
    if (count == 1) {
      return hn::ZeroExtendVector(d, hn::ZeroExtendVector(half, hn::LoadU(one, from)));
    }
    if (count == 3) {
      return hn::Combine(d, hn::ZeroExtendVector(half, hn::LoadU(one, from + 2)),
                         hn::LoadU(half, from));
    }
  }
  return hn::ZeroExtendVector(d, hn::LoadU(half, from));
#endif
}

/// Stores the first `count` lanes; `count` as above.
template <class D, class V>
HWY_INLINE void store_first(V v, D d, hwy::HWY_NAMESPACE::TFromD<D>* HWY_RESTRICT to,
                            [[maybe_unused]] std::size_t count) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_TARGET == HWY_SCALAR
  hn::StoreU(v, d, to);
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  hn::BlendedStore(v, hn::FirstN(d, count), d, to);
#else
  if (count == hn::MaxLanes(d)) return hn::StoreU(v, d, to);
  const hn::Half<D> half;
  if constexpr (hn::MaxLanes(d) == 4) {
    const hn::Half<decltype(half)> one;
    if (count == 1) return hn::StoreU(hn::LowerHalf(one, hn::LowerHalf(half, v)), one, to);
    if (count == 3) to[2] = hn::GetLane(hn::UpperHalf(half, v));
  }
  hn::StoreU(hn::LowerHalf(half, v), half, to);
#endif
}

}  // namespace ingot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
