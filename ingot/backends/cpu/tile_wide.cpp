#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ingot/backends/cpu/tile_ops.h"

namespace ingot {
namespace {

constexpr std::uint32_t kTrue = ~std::uint32_t{0};

/// The reference's own meaning of an operation, on one lane.
template <ScalarOp kOp, class T>
T apply(T a, T b) noexcept {
  if constexpr (std::is_same_v<T, double>) {
    return evaluate_scalar(kOp, a, b, 0.0, false);
  } else {
    // Wrap on overflow; the operations that integers do not have convert.
    using U = std::uint64_t;
    switch (kOp) {
      case ScalarOp::neg: return static_cast<T>(U{0} - static_cast<U>(a));
      case ScalarOp::abs: return a < 0 ? static_cast<T>(U{0} - static_cast<U>(a)) : a;
      case ScalarOp::sign: return (a > 0) - (a < 0);
      case ScalarOp::add: return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
      case ScalarOp::sub: return static_cast<T>(static_cast<U>(a) - static_cast<U>(b));
      case ScalarOp::mul: return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
      case ScalarOp::div:
        if (b == 0) return 0;
        return b == -1 ? static_cast<T>(U{0} - static_cast<U>(a)) : a / b;
      case ScalarOp::min: return std::min(a, b);
      case ScalarOp::max: return std::max(a, b);
      default: return 0;
    }
  }
}

template <ScalarOp kOp, class T>
bool compare(T a, T b) noexcept {
  switch (kOp) {
    case ScalarOp::lt: return a < b;
    case ScalarOp::le: return a <= b;
    case ScalarOp::gt: return a > b;
    case ScalarOp::ge: return a >= b;
    case ScalarOp::eq: return a == b;
    default: return a != b;
  }
}

template <ScalarOp kOp, class T, int kArity>
void arithmetic_tile(void* out, const TileArg* args, std::int64_t n) noexcept {
  const auto* a = static_cast<const T*>(args[0].data);
  const auto* b = static_cast<const T*>(args[kArity - 1].data);
  auto* y = static_cast<T*>(out);
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = apply<kOp, T>(a[args[0].splat ? 0 : i], b[args[kArity - 1].splat ? 0 : i]);
  }
}

template <ScalarOp kOp, class T>
void compare_tile(void* out, const TileArg* args, std::int64_t n) noexcept {
  const auto* a = static_cast<const T*>(args[0].data);
  const auto* b = static_cast<const T*>(args[1].data);
  auto* y = static_cast<std::uint32_t*>(out);
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = compare<kOp, T>(a[args[0].splat ? 0 : i], b[args[1].splat ? 0 : i]) ? kTrue : 0;
  }
}

void is_finite_tile(void* out, const TileArg* args, std::int64_t n) noexcept {
  const auto* a = static_cast<const double*>(args[0].data);
  auto* y = static_cast<std::uint32_t*>(out);
  for (std::int64_t i = 0; i < n; ++i) y[i] = std::isfinite(a[args[0].splat ? 0 : i]) ? kTrue : 0;
}

template <class T>
void select_tile(void* out, const TileArg* args, std::int64_t n) noexcept {
  const auto* mask = static_cast<const std::uint32_t*>(args[0].data);
  const auto* b = static_cast<const T*>(args[1].data);
  const auto* c = static_cast<const T*>(args[2].data);
  auto* y = static_cast<T*>(out);
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = mask[args[0].splat ? 0 : i] != 0 ? b[args[1].splat ? 0 : i] : c[args[2].splat ? 0 : i];
  }
}

template <class T>
TileFn find_common(ScalarOp op) noexcept {
  switch (op) {
    case ScalarOp::neg: return arithmetic_tile<ScalarOp::neg, T, 1>;
    case ScalarOp::abs: return arithmetic_tile<ScalarOp::abs, T, 1>;
    case ScalarOp::sign: return arithmetic_tile<ScalarOp::sign, T, 1>;
    case ScalarOp::add: return arithmetic_tile<ScalarOp::add, T, 2>;
    case ScalarOp::sub: return arithmetic_tile<ScalarOp::sub, T, 2>;
    case ScalarOp::mul: return arithmetic_tile<ScalarOp::mul, T, 2>;
    case ScalarOp::div: return arithmetic_tile<ScalarOp::div, T, 2>;
    case ScalarOp::min: return arithmetic_tile<ScalarOp::min, T, 2>;
    case ScalarOp::max: return arithmetic_tile<ScalarOp::max, T, 2>;
    case ScalarOp::lt: return compare_tile<ScalarOp::lt, T>;
    case ScalarOp::le: return compare_tile<ScalarOp::le, T>;
    case ScalarOp::gt: return compare_tile<ScalarOp::gt, T>;
    case ScalarOp::ge: return compare_tile<ScalarOp::ge, T>;
    case ScalarOp::eq: return compare_tile<ScalarOp::eq, T>;
    case ScalarOp::ne: return compare_tile<ScalarOp::ne, T>;
    case ScalarOp::select: return select_tile<T>;
    default: return nullptr;
  }
}

TileFn find_real(ScalarOp op) noexcept {
  switch (op) {
    case ScalarOp::exp: return arithmetic_tile<ScalarOp::exp, double, 1>;
    case ScalarOp::expm1: return arithmetic_tile<ScalarOp::expm1, double, 1>;
    case ScalarOp::log: return arithmetic_tile<ScalarOp::log, double, 1>;
    case ScalarOp::log1p: return arithmetic_tile<ScalarOp::log1p, double, 1>;
    case ScalarOp::sqrt: return arithmetic_tile<ScalarOp::sqrt, double, 1>;
    case ScalarOp::rsqrt: return arithmetic_tile<ScalarOp::rsqrt, double, 1>;
    case ScalarOp::sin: return arithmetic_tile<ScalarOp::sin, double, 1>;
    case ScalarOp::cos: return arithmetic_tile<ScalarOp::cos, double, 1>;
    case ScalarOp::tanh: return arithmetic_tile<ScalarOp::tanh, double, 1>;
    case ScalarOp::sigmoid: return arithmetic_tile<ScalarOp::sigmoid, double, 1>;
    case ScalarOp::erf: return arithmetic_tile<ScalarOp::erf, double, 1>;
    case ScalarOp::floor: return arithmetic_tile<ScalarOp::floor, double, 1>;
    case ScalarOp::ceil: return arithmetic_tile<ScalarOp::ceil, double, 1>;
    case ScalarOp::round: return arithmetic_tile<ScalarOp::round, double, 1>;
    case ScalarOp::pow: return arithmetic_tile<ScalarOp::pow, double, 2>;
    case ScalarOp::is_finite: return is_finite_tile;
    default: return nullptr;
  }
}

}  // namespace

TileFn wide_fn(ScalarOp op, Lane lane) noexcept {
  if (lane == Lane::i64) return find_common<std::int64_t>(op);
  const TileFn fn = find_common<double>(op);
  return fn != nullptr ? fn : find_real(op);
}

Lane lane_of(DType dtype) noexcept {
  if (dtype == DType::f64) return Lane::f64;
  if (dtype == DType::boolean) return Lane::mask;
  return is_float(dtype) ? Lane::f32 : Lane::i64;
}

std::int64_t lane_bytes(Lane lane) noexcept {
  return lane == Lane::f32 || lane == Lane::mask ? 4 : 8;
}

TileFn tile_fn(ScalarOp op, Lane lane) noexcept {
  if (lane == Lane::mask) return mask_fn(op);
  if (lane != Lane::f32) return wide_fn(op, lane);
  const TileFn fn = f32_unary_fn(op);
  return fn != nullptr ? fn : f32_binary_fn(op);
}

}  // namespace ingot
