// Unary f32 tile operations. Errors in units in the last place are tested against double.
#include <cmath>
#include <limits>

#include "ingot/backends/cpu/tile_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/tile_f32_unary.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ingot::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
namespace {

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

template <class Op>
void unary(void* out, const TileArg* args, std::int64_t n) noexcept {
  const D d;
  const auto* a = static_cast<const float*>(args[0].data);
  auto* y = static_cast<float*>(out);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  if (args[0].splat) {
    const V value = Op()(d, hn::Set(d, *a));
    for (std::int64_t i = 0; i < n; i += lanes) hn::StoreU(value, d, y + i);
    return;
  }
  for (std::int64_t i = 0; i < n; i += lanes) hn::StoreU(Op()(d, hn::LoadU(d, a + i)), d, y + i);
}

HWY_INLINE V set(float value) { return hn::Set(D(), value); }
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Neg {
  HWY_INLINE V operator()(D, V x) const { return hn::Neg(x); }
};
struct Abs {
  HWY_INLINE V operator()(D, V x) const { return hn::Abs(x); }
};
// sign(-0) is -0 and sign(NaN) is NaN, as evaluate_scalar has it.
struct Sign {
  HWY_INLINE V operator()(D, V x) const {
    const V positive = hn::IfThenElse(hn::Gt(x, set(0)), set(1), x);
    return hn::IfThenElse(hn::Lt(x, set(0)), set(-1), positive);
  }
};
struct Sqrt {
  HWY_INLINE V operator()(D, V x) const { return hn::Sqrt(x); }
};
struct Rsqrt {
  HWY_INLINE V operator()(D, V x) const { return hn::Div(set(1), hn::Sqrt(x)); }
};
struct Floor {
  HWY_INLINE V operator()(D, V x) const { return hn::Floor(x); }
};
struct Ceil {
  HWY_INLINE V operator()(D, V x) const { return hn::Ceil(x); }
};
struct Round {
  HWY_INLINE V operator()(D, V x) const { return hn::Round(x); }
};

// Highway's Exp is right up to 104; what lies above overflows, and NaN must stay.
struct Exp {
  HWY_INLINE V operator()(D d, V x) const {
    const V clamped = hn::IfThenElse(hn::Gt(x, set(100.0f)), set(100.0f), x);
    const V safe = hn::IfThenElse(hn::IsNaN(x), set(0), clamped);
    const V y = hn::Exp(d, safe);
    const V bounded = hn::IfThenElse(hn::Gt(x, set(88.72283f)), set(kInf), y);
    return hn::IfThenElse(hn::IsNaN(x), x, bounded);
  }
};
struct Expm1 {
  HWY_INLINE V operator()(D d, V x) const {
    const V clamped = hn::IfThenElse(hn::Gt(x, set(100.0f)), set(100.0f), x);
    const V y = hn::Expm1(d, hn::IfThenElse(hn::IsNaN(x), set(0), clamped));
    const V bounded = hn::IfThenElse(hn::Gt(x, set(88.72283f)), set(kInf), y);
    // Below 2^-24 the function is x to the last bit, zero keeping its sign.
    const V small = hn::IfThenElse(hn::Lt(hn::Abs(x), set(0x1p-24f)), x, bounded);
    return hn::IfThenElse(hn::IsNaN(x), x, small);
  }
};
// Zero, negative and infinite operands are outside Highway's range.
HWY_INLINE V log_with_edges(V x, V y, V pole) {
  const V nan = set(std::numeric_limits<float>::quiet_NaN());
  y = hn::IfThenElse(hn::Eq(x, pole), set(-kInf), y);
  y = hn::IfThenElse(hn::Eq(x, set(kInf)), x, y);
  y = hn::IfThenElse(hn::Lt(x, pole), nan, y);
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}
struct Log {
  HWY_INLINE V operator()(D d, V x) const { return log_with_edges(x, hn::Log(d, x), set(0)); }
};
struct Log1p {
  HWY_INLINE V operator()(D d, V x) const {
    const V y = hn::IfThenElse(hn::Lt(hn::Abs(x), set(0x1p-24f)), x, hn::Log1p(d, x));
    return log_with_edges(x, y, set(-1));
  }
};

struct Tanh {
  HWY_INLINE V operator()(D d, V x) const {
    const V magnitude = hn::Abs(x);
    const V bounded = hn::IfThenElse(hn::Gt(magnitude, set(10)), set(10), magnitude);
    const V y = Expm1()(d, hn::Add(bounded, bounded));
    const V t = hn::Div(y, hn::Add(y, set(2)));
    return hn::IfThenElse(hn::IsNaN(x), x, hn::CopySign(t, x));
  }
};
struct Sigmoid {
  HWY_INLINE V operator()(D d, V x) const {
    return hn::Div(set(1), hn::Add(set(1), Exp()(d, hn::Neg(x))));
  }
};
// Two minimax polynomials: x + x p(x^2) near zero, 1 - e^q(|x|) elsewhere.
struct Erf {
  HWY_INLINE V operator()(D d, V x) const {
    const V t = hn::Abs(x);
    const V s = hn::Mul(x, x);
    V q = hn::MulAdd(set(-1.72853470e-5f), t, set(3.83197126e-4f));
    const V u = hn::MulAdd(set(-3.88396438e-3f), t, set(2.42546219e-2f));
    q = hn::MulAdd(q, s, u);
    q = hn::MulAdd(q, t, set(-1.06777877e-1f));
    q = hn::MulAdd(q, t, set(-6.34846687e-1f));
    q = hn::MulAdd(q, t, set(-1.28717512e-1f));
    q = hn::MulAdd(q, t, hn::Neg(t));
    const V far = hn::CopySign(hn::Sub(set(1), Exp()(d, q)), x);
    V p = set(-5.96761703e-4f);
    p = hn::MulAdd(p, s, set(4.99119423e-3f));
    p = hn::MulAdd(p, s, set(-2.67681349e-2f));
    p = hn::MulAdd(p, s, set(1.12819925e-1f));
    p = hn::MulAdd(p, s, set(-3.76125336e-1f));
    p = hn::MulAdd(p, s, set(1.28379166e-1f));
    const V near = hn::MulAdd(p, x, x);
    // Past 4 the polynomial in the exponent turns round; the function is 1 to the last bit there.
    const V bounded = hn::IfThenElse(hn::Gt(t, set(4)), hn::CopySign(set(1), x), far);
    const V y = hn::IfThenElse(hn::Gt(t, set(0.927734375f)), bounded, near);
    return hn::IfThenElse(hn::IsNaN(x), x, y);
  }
};

// Highway reduces the argument in three parts, which is exact enough up to 39,000; rare larger
// ones go through the C library. `out` may be the operand, so large ones are noted first.
template <class Fast>
void trigonometric(void* out, const TileArg* args, std::int64_t n, float (*exact)(float)) noexcept {
  const auto* a = static_cast<const float*>(args[0].data);
  auto* y = static_cast<float*>(out);
  for (std::int64_t i = 0; i < n; i += kTileQuantum) {
    float x[kTileQuantum];
    bool large = false;
    for (std::int64_t j = 0; j < kTileQuantum; ++j) {
      x[j] = a[args[0].splat ? 0 : i + j];
      large |= !(x[j] > -30000.0f && x[j] < 30000.0f);
    }
    const TileArg block{x, false};
    unary<Fast>(y + i, &block, kTileQuantum);
    for (std::int64_t j = 0; large && j < kTileQuantum; ++j) {
      if (!(x[j] > -30000.0f && x[j] < 30000.0f)) y[i + j] = exact(x[j]);
    }
  }
}
struct FastSin {
  HWY_INLINE V operator()(D d, V x) const { return hn::Sin(d, x); }
};
struct FastCos {
  HWY_INLINE V operator()(D d, V x) const { return hn::Cos(d, x); }
};
float exact_sin(float x) { return std::sin(x); }
float exact_cos(float x) { return std::cos(x); }
void sin_tile(void* out, const TileArg* args, std::int64_t n) noexcept {
  trigonometric<FastSin>(out, args, n, exact_sin);
}
void cos_tile(void* out, const TileArg* args, std::int64_t n) noexcept {
  trigonometric<FastCos>(out, args, n, exact_cos);
}

// The mask of finite elements.
void is_finite_tile(void* out, const TileArg* args, std::int64_t n) noexcept {
  const D d;
  const auto* a = static_cast<const float*>(args[0].data);
  auto* y = static_cast<float*>(out);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < n; i += lanes) {
    const V x = args[0].splat ? hn::Set(d, *a) : hn::LoadU(d, a + i);
    hn::StoreU(hn::VecFromMask(d, hn::IsFinite(x)), d, y + i);
  }
}

}  // namespace

TileFn find_unary(ScalarOp op) {
  switch (op) {
    case ScalarOp::neg: return unary<Neg>;
    case ScalarOp::abs: return unary<Abs>;
    case ScalarOp::sign: return unary<Sign>;
    case ScalarOp::exp: return unary<Exp>;
    case ScalarOp::expm1: return unary<Expm1>;
    case ScalarOp::log: return unary<Log>;
    case ScalarOp::log1p: return unary<Log1p>;
    case ScalarOp::sqrt: return unary<Sqrt>;
    case ScalarOp::rsqrt: return unary<Rsqrt>;
    case ScalarOp::sin: return sin_tile;
    case ScalarOp::cos: return cos_tile;
    case ScalarOp::tanh: return unary<Tanh>;
    case ScalarOp::sigmoid: return unary<Sigmoid>;
    case ScalarOp::erf: return unary<Erf>;
    case ScalarOp::floor: return unary<Floor>;
    case ScalarOp::ceil: return unary<Ceil>;
    case ScalarOp::round: return unary<Round>;
    case ScalarOp::is_finite: return is_finite_tile;
    default: return nullptr;
  }
}

}  // namespace ingot::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot {
namespace {
HWY_EXPORT(find_unary);
}  // namespace

TileFn f32_unary_fn(ScalarOp op) noexcept { return HWY_DYNAMIC_DISPATCH(find_unary)(op); }

}  // namespace ingot
#endif  // HWY_ONCE
