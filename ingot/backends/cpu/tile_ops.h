// The operations that fused programs are made of, each a vectorised loop over one tile.
//
// A program's registers are tiles in the first-level cache: f32 lanes for f32, bf16 and f16; i64
// lanes for every integer type, so that sums of narrow integers saturate at the store as the
// reference's do; f64; and masks of 32 bits, all ones or zero, for bool.
#pragma once

#include <cstdint>

#include "ingot/base/dtype.h"
#include "ingot/ir/scalar.h"

namespace ingot {

enum class Lane : std::uint8_t { f32, f64, i64, mask };

Lane lane_of(DType dtype) noexcept;
std::int64_t lane_bytes(Lane lane) noexcept;

/// Tile lengths given to a TileFn are multiples of this: no SIMD loop has a tail.
inline constexpr std::int64_t kTileQuantum = 16;

/// One argument: a tile, or one element that stands for all of them.
struct TileArg {
  const void* data = nullptr;
  bool splat = false;
};

/// out[i] = op(args[0][i], ...); `out` may be one of the tiles.
using TileFn = void (*)(void* out, const TileArg* args, std::int64_t n) noexcept;

/// The loop of an operation whose arguments have the given lane (comparisons and `is_finite` give a
/// mask; `select` takes a mask first; logical operations take masks). Null when there is none.
TileFn tile_fn(ScalarOp op, Lane lane) noexcept;
/// Rounds or saturates a tile of lane `from` to `dtype`, in the lane of `dtype`.
TileFn tile_cast_fn(Lane from, DType dtype) noexcept;

/// Converts exactly `n` elements between memory and a tile. Null where the bytes are the same.
using ConvertFn = void (*)(void* out, const void* in, std::int64_t n) noexcept;
/// Memory of `dtype` to a tile; an integer or bool may be loaded as f32 directly. `lane` is
/// lane_of(dtype) or f32.
ConvertFn tile_load_fn(DType dtype, Lane lane) noexcept;
/// A tile in the lane of `dtype` to memory.
ConvertFn tile_store_fn(DType dtype) noexcept;

// Per family, where the SIMD code is.
TileFn f32_unary_fn(ScalarOp op) noexcept;
TileFn f32_binary_fn(ScalarOp op) noexcept;
/// a b + c (add), a b - c (sub) or c - a b (rsub) of f32 in one go, rounded twice as the two
/// operations are.
enum class ProductSum : std::uint8_t { add, sub, rsub };
TileFn f32_product_sum_fn(ProductSum kind) noexcept;
/// select(a > 0, b, 0) of f32 in one go: the gradient of a relu.
TileFn f32_where_positive_fn() noexcept;
TileFn mask_fn(ScalarOp op) noexcept;
/// f64 and i64 lanes: plain loops, since training does not live on them.
TileFn wide_fn(ScalarOp op, Lane lane) noexcept;

}  // namespace ingot
