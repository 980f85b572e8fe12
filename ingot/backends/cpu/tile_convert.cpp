// Conversions between memory and tiles, and casts between lanes: plain loops that the compiler
// vectorises for each target.
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "ingot/backends/cpu/tile_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/tile_convert.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ingot::HWY_NAMESPACE {
namespace {

/// A mask's storage, so that templates can tell it from an integer.
struct Mask {
  std::uint32_t bits;
};
/// Stored bool.
struct Bool {
  std::uint8_t value;
};

HWY_INLINE float widen(BFloat16 x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
HWY_INLINE BFloat16 round_bf16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  BFloat16 result;
  result.bits = static_cast<std::uint16_t>(x != x ? (bits >> 16) | 0x40u : rounded);
  return result;
}

/// Truncates; saturates to T's range; NaN gives 0.
template <class T, class From>
HWY_INLINE T saturate(From x) {
  constexpr auto low = static_cast<double>(std::numeric_limits<T>::min());
  constexpr auto high = static_cast<double>(std::numeric_limits<T>::max());
  if constexpr (std::is_integral_v<From>) {
    if (std::cmp_less(x, std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
    if (std::cmp_greater(x, std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
    return static_cast<T>(x);
  } else {
    const auto value = static_cast<double>(x);
    if (value != value) return 0;
    if (value <= low) return std::numeric_limits<T>::min();
    if (value >= high) return std::numeric_limits<T>::max();
    return static_cast<T>(value);
  }
}

/// Any stored or lane type to any other.
template <class To, class From>
HWY_INLINE To convert(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (std::is_same_v<From, Mask>) {
    return convert<To>(static_cast<std::int64_t>(x.bits & 1u));
  } else if constexpr (std::is_same_v<From, Bool>) {
    return convert<To>(static_cast<std::int64_t>(x.value != 0));
  } else if constexpr (std::is_same_v<From, Half>) {
    return convert<To>(static_cast<float>(x));
  } else if constexpr (std::is_same_v<From, BFloat16>) {
    return convert<To>(widen(x));
  } else if constexpr (std::is_same_v<To, Mask>) {
    return Mask{x != From{0} ? ~std::uint32_t{0} : 0};
  } else if constexpr (std::is_same_v<To, Bool>) {
    return Bool{static_cast<std::uint8_t>(x != From{0})};
  } else if constexpr (std::is_same_v<To, Half>) {
    return Half(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return round_bf16(static_cast<float>(x));
  } else if constexpr (std::is_integral_v<To>) {
    return saturate<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

template <class To, class From>
void convert_n(void* out, const void* in, std::int64_t n) noexcept {
  const auto* x = static_cast<const From*>(in);
  auto* y = static_cast<To*>(out);
  for (std::int64_t i = 0; i < n; ++i) y[i] = convert<To>(x[i]);
}

/// From lane to lane by way of the stored type, which rounds or saturates.
template <class To, class Stored, class From>
void cast_tile(void* out, const TileArg* args, std::int64_t n) noexcept {
  const auto* x = static_cast<const From*>(args[0].data);
  auto* y = static_cast<To*>(out);
  if (args[0].splat) {
    const To value = convert<To>(convert<Stored>(*x));
    for (std::int64_t i = 0; i < n; ++i) y[i] = value;
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) y[i] = convert<To>(convert<Stored>(x[i]));
}

template <class From>
TileFn cast_from(DType dtype) {
  switch (dtype) {
    case DType::f64: return cast_tile<double, double, From>;
    case DType::f32: return cast_tile<float, float, From>;
    case DType::f16: return cast_tile<float, Half, From>;
    case DType::bf16: return cast_tile<float, BFloat16, From>;
    case DType::i64: return cast_tile<std::int64_t, std::int64_t, From>;
    case DType::i32: return cast_tile<std::int64_t, std::int32_t, From>;
    case DType::i8: return cast_tile<std::int64_t, std::int8_t, From>;
    case DType::u8: return cast_tile<std::int64_t, std::uint8_t, From>;
    case DType::boolean: return cast_tile<Mask, Mask, From>;
  }
  return nullptr;
}

}  // namespace

TileFn find_cast(Lane from, DType dtype) {
  switch (from) {
    case Lane::f32: return cast_from<float>(dtype);
    case Lane::f64: return cast_from<double>(dtype);
    case Lane::i64: return cast_from<std::int64_t>(dtype);
    case Lane::mask: return cast_from<Mask>(dtype);
  }
  return nullptr;
}

ConvertFn find_load(DType dtype, Lane lane) {
  const bool f32 = lane == Lane::f32;
  switch (dtype) {
    case DType::f64:
    case DType::f32: return nullptr;
    case DType::f16: return convert_n<float, Half>;
    case DType::bf16: return convert_n<float, BFloat16>;
    case DType::i64: return f32 ? convert_n<float, std::int64_t> : nullptr;
    case DType::i32:
      return f32 ? convert_n<float, std::int32_t> : convert_n<std::int64_t, std::int32_t>;
    case DType::i8:
      return f32 ? convert_n<float, std::int8_t> : convert_n<std::int64_t, std::int8_t>;
    case DType::u8:
      return f32 ? convert_n<float, std::uint8_t> : convert_n<std::int64_t, std::uint8_t>;
    case DType::boolean: return f32 ? convert_n<float, Bool> : convert_n<Mask, Bool>;
  }
  return nullptr;
}

ConvertFn find_store(DType dtype) {
  switch (dtype) {
    case DType::f16: return convert_n<Half, float>;
    case DType::bf16: return convert_n<BFloat16, float>;
    case DType::i32: return convert_n<std::int32_t, std::int64_t>;
    case DType::i8: return convert_n<std::int8_t, std::int64_t>;
    case DType::u8: return convert_n<std::uint8_t, std::int64_t>;
    case DType::boolean: return convert_n<Bool, Mask>;
    default: return nullptr;
  }
}

}  // namespace ingot::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot {
namespace {
HWY_EXPORT(find_cast);
HWY_EXPORT(find_load);
HWY_EXPORT(find_store);
}  // namespace

TileFn tile_cast_fn(Lane from, DType dtype) noexcept {
  return HWY_DYNAMIC_DISPATCH(find_cast)(from, dtype);
}
ConvertFn tile_load_fn(DType dtype, Lane lane) noexcept {
  return HWY_DYNAMIC_DISPATCH(find_load)(dtype, lane);
}
ConvertFn tile_store_fn(DType dtype) noexcept { return HWY_DYNAMIC_DISPATCH(find_store)(dtype); }

}  // namespace ingot
#endif  // HWY_ONCE
