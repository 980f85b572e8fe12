// Binary and ternary f32 tile operations, and those on masks.
#include <array>
#include <cmath>

#include "ingot/backends/cpu/tile_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/tile_f32_binary.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ingot::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
namespace {

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

template <bool kSplat>
struct Source {
  const float* data;
  V value;
  explicit HWY_INLINE Source(const TileArg& arg)
      : data(static_cast<const float*>(arg.data)), value(hn::Set(D(), kSplat ? *data : 0.0f)) {}
  HWY_INLINE V at(std::int64_t i) const {
    if constexpr (kSplat) return value;
    return hn::LoadU(D(), data + i);
  }
};

template <class Op, bool kSplatA, bool kSplatB>
HWY_INLINE void binary_loop(float* y, const TileArg* args, std::int64_t n) {
  const D d;
  const Source<kSplatA> a(args[0]);
  const Source<kSplatB> b(args[1]);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < n; i += lanes) hn::StoreU(Op()(d, a.at(i), b.at(i)), d, y + i);
}

template <class Op>
void binary(void* out, const TileArg* args, std::int64_t n) noexcept {
  auto* y = static_cast<float*>(out);
  if (args[1].splat) {
    if (args[0].splat) return binary_loop<Op, true, true>(y, args, n);
    return binary_loop<Op, false, true>(y, args, n);
  }
  if (args[0].splat) return binary_loop<Op, true, false>(y, args, n);
  binary_loop<Op, false, false>(y, args, n);
}

struct AddOp {
  HWY_INLINE V operator()(D, V a, V b) const { return hn::Add(a, b); }
};
struct SubOp {
  HWY_INLINE V operator()(D, V a, V b) const { return hn::Sub(a, b); }
};
struct MulOp {
  HWY_INLINE V operator()(D, V a, V b) const { return hn::Mul(a, b); }
};
struct DivOp {
  HWY_INLINE V operator()(D, V a, V b) const { return hn::Div(a, b); }
};
struct MinOp {
  HWY_INLINE V operator()(D, V a, V b) const {
    return hn::IfThenElse(hn::Or(hn::IsNaN(a), hn::Lt(a, b)), a, b);
  }
};
struct MaxOp {
  HWY_INLINE V operator()(D, V a, V b) const {
    return hn::IfThenElse(hn::Or(hn::IsNaN(a), hn::Gt(a, b)), a, b);
  }
};
struct LtOp {
  HWY_INLINE V operator()(D d, V a, V b) const { return hn::VecFromMask(d, hn::Lt(a, b)); }
};
struct LeOp {
  HWY_INLINE V operator()(D d, V a, V b) const { return hn::VecFromMask(d, hn::Le(a, b)); }
};
struct EqOp {
  HWY_INLINE V operator()(D d, V a, V b) const { return hn::VecFromMask(d, hn::Eq(a, b)); }
};
struct NeOp {
  HWY_INLINE V operator()(D d, V a, V b) const { return hn::VecFromMask(d, hn::Ne(a, b)); }
};
struct WherePositiveOp {
  HWY_INLINE V operator()(D d, V a, V b) const {
    return hn::IfThenElseZero(hn::Gt(a, hn::Zero(d)), b);
  }
};
template <class Op>
struct Swapped {
  HWY_INLINE V operator()(D d, V a, V b) const { return Op()(d, b, a); }
};
// Masks move as f32 lanes; bitwise operations do not look at the values.
struct AndOp {
  HWY_INLINE V operator()(D, V a, V b) const { return hn::And(a, b); }
};
struct OrOp {
  HWY_INLINE V operator()(D, V a, V b) const { return hn::Or(a, b); }
};
struct XorOp {
  HWY_INLINE V operator()(D, V a, V b) const { return hn::Xor(a, b); }
};
struct EqualMaskOp {
  HWY_INLINE V operator()(D, V a, V b) const { return hn::Not(hn::Xor(a, b)); }
};
struct AndNotOp {
  HWY_INLINE V operator()(D, V a, V b) const { return hn::AndNot(a, b); }
};
struct OrNotOp {
  HWY_INLINE V operator()(D, V a, V b) const { return hn::Or(hn::Not(a), b); }
};

// Compiled without contraction: a product and a sum, not one operation that rounds once.
struct ProductPlus {
  HWY_INLINE V operator()(V a, V b, V c) const { return hn::Add(hn::Mul(a, b), c); }
};
struct ProductMinus {
  HWY_INLINE V operator()(V a, V b, V c) const { return hn::Sub(hn::Mul(a, b), c); }
};
struct MinusProduct {
  HWY_INLINE V operator()(V a, V b, V c) const { return hn::Sub(c, hn::Mul(a, b)); }
};

template <class Op, bool kSplatA, bool kSplatB, bool kSplatC>
HWY_INLINE void ternary_loop(float* y, const TileArg* args, std::int64_t n) {
  const D d;
  const Source<kSplatA> a(args[0]);
  const Source<kSplatB> b(args[1]);
  const Source<kSplatC> c(args[2]);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < n; i += lanes) {
    hn::StoreU(Op()(a.at(i), b.at(i), c.at(i)), d, y + i);
  }
}

template <class Op>
void product_sum(void* out, const TileArg* args, std::int64_t n) noexcept {
  auto* y = static_cast<float*>(out);
  // A factor that stands for all comes first.
  const bool swap = args[1].splat && !args[0].splat;
  const std::array<TileArg, 3> in{args[swap ? 1 : 0], args[swap ? 0 : 1], args[2]};
  if (in[1].splat) {
    if (in[2].splat) return ternary_loop<Op, true, true, true>(y, in.data(), n);
    return ternary_loop<Op, true, true, false>(y, in.data(), n);
  }
  if (in[0].splat) {
    if (in[2].splat) return ternary_loop<Op, true, false, true>(y, in.data(), n);
    return ternary_loop<Op, true, false, false>(y, in.data(), n);
  }
  if (in[2].splat) return ternary_loop<Op, false, false, true>(y, in.data(), n);
  ternary_loop<Op, false, false, false>(y, in.data(), n);
}

void pow_tile(void* out, const TileArg* args, std::int64_t n) noexcept {
  const auto* a = static_cast<const float*>(args[0].data);
  const auto* b = static_cast<const float*>(args[1].data);
  auto* y = static_cast<float*>(out);
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = std::pow(a[args[0].splat ? 0 : i], b[args[1].splat ? 0 : i]);
  }
}

void not_tile(void* out, const TileArg* args, std::int64_t n) noexcept {
  const auto* a = static_cast<const std::uint32_t*>(args[0].data);
  auto* y = static_cast<std::uint32_t*>(out);
  for (std::int64_t i = 0; i < n; ++i) y[i] = ~a[args[0].splat ? 0 : i];
}

template <bool kSplatB, bool kSplatC>
HWY_INLINE void select_loop(float* y, const TileArg* args, std::int64_t n) {
  const D d;
  const Source<false> mask(args[0]);
  const Source<kSplatB> b(args[1]);
  const Source<kSplatC> c(args[2]);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < n; i += lanes) {
    hn::StoreU(hn::IfThenElse(hn::MaskFromVec(mask.at(i)), b.at(i), c.at(i)), d, y + i);
  }
}

void select_tile(void* out, const TileArg* args, std::int64_t n) noexcept {
  auto* y = static_cast<float*>(out);
  if (args[0].splat) {
    const bool first = *static_cast<const std::uint32_t*>(args[0].data) != 0;
    const TileArg& chosen = args[first ? 1 : 2];
    const auto* x = static_cast<const float*>(chosen.data);
    for (std::int64_t i = 0; i < n; ++i) y[i] = x[chosen.splat ? 0 : i];
    return;
  }
  if (args[1].splat && args[2].splat) return select_loop<true, true>(y, args, n);
  if (args[1].splat) return select_loop<true, false>(y, args, n);
  if (args[2].splat) return select_loop<false, true>(y, args, n);
  select_loop<false, false>(y, args, n);
}

}  // namespace

TileFn find_binary(ScalarOp op) {
  switch (op) {
    case ScalarOp::add: return binary<AddOp>;
    case ScalarOp::sub: return binary<SubOp>;
    case ScalarOp::mul: return binary<MulOp>;
    case ScalarOp::div: return binary<DivOp>;
    case ScalarOp::pow: return pow_tile;
    case ScalarOp::min: return binary<MinOp>;
    case ScalarOp::max: return binary<MaxOp>;
    case ScalarOp::lt: return binary<LtOp>;
    case ScalarOp::le: return binary<LeOp>;
    case ScalarOp::gt: return binary<Swapped<LtOp>>;
    case ScalarOp::ge: return binary<Swapped<LeOp>>;
    case ScalarOp::eq: return binary<EqOp>;
    case ScalarOp::ne: return binary<NeOp>;
    case ScalarOp::select: return select_tile;
    default: return nullptr;
  }
}

TileFn find_product_sum(ProductSum kind) {
  switch (kind) {
    case ProductSum::add: return product_sum<ProductPlus>;
    case ProductSum::sub: return product_sum<ProductMinus>;
    case ProductSum::rsub: return product_sum<MinusProduct>;
  }
  return nullptr;
}

TileFn find_where_positive() { return binary<WherePositiveOp>; }

// On bools, with false < true.
TileFn find_mask(ScalarOp op) {
  switch (op) {
    case ScalarOp::logical_and: return binary<AndOp>;
    case ScalarOp::logical_or: return binary<OrOp>;
    case ScalarOp::logical_not: return not_tile;
    case ScalarOp::eq: return binary<EqualMaskOp>;
    case ScalarOp::ne: return binary<XorOp>;
    case ScalarOp::lt: return binary<AndNotOp>;
    case ScalarOp::le: return binary<OrNotOp>;
    case ScalarOp::gt: return binary<Swapped<AndNotOp>>;
    case ScalarOp::ge: return binary<Swapped<OrNotOp>>;
    case ScalarOp::select: return select_tile;
    default: return nullptr;
  }
}

}  // namespace ingot::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot {
namespace {
HWY_EXPORT(find_binary);
HWY_EXPORT(find_product_sum);
HWY_EXPORT(find_where_positive);
HWY_EXPORT(find_mask);
}  // namespace

TileFn f32_binary_fn(ScalarOp op) noexcept { return HWY_DYNAMIC_DISPATCH(find_binary)(op); }
TileFn f32_product_sum_fn(ProductSum kind) noexcept {
  return HWY_DYNAMIC_DISPATCH(find_product_sum)(kind);
}
TileFn f32_where_positive_fn() noexcept { return HWY_DYNAMIC_DISPATCH(find_where_positive)(); }
TileFn mask_fn(ScalarOp op) noexcept { return HWY_DYNAMIC_DISPATCH(find_mask)(op); }

}  // namespace ingot
#endif  // HWY_ONCE
