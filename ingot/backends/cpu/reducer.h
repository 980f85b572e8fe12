// Accumulates the tiles of a reduction's operand and writes its result.
#pragma once

#include <cstdint>

#include "ingot/backends/cpu/fused_body.h"
#include "ingot/backends/cpu/reduce_plan.h"

namespace ingot {

/// One accumulator: f32 and f64 sums in double, integers exactly.
union Accumulator {
  double real;
  std::int64_t integer;
};

class Reducer {
 public:
  Reducer(const FusedReduction& reduction, Lane lane) noexcept
      : kind_(reduction.kind), scale_(reduction.scale), dtype_(reduction.dtype), lane_(lane) {}

  void reset(Accumulator* acc, std::int64_t columns) const noexcept;
  /// Adds `n` elements of a tile, the first of which belongs to `column`.
  void add(Accumulator* acc, std::int64_t columns, const TileArg& tile, std::int64_t offset,
           std::int64_t n, std::int64_t column) const noexcept;
  /// acc += other, per column.
  void merge(Accumulator* acc, const Accumulator* other, std::int64_t columns) const noexcept;
  /// Writes a group's results.
  void write(std::byte* result, const Accumulator* acc, const ReducePlan& plan,
             std::int64_t group) const noexcept;

 private:
  ReductionKind kind_;
  double scale_;
  DType dtype_;
  Lane lane_;
};

}  // namespace ingot
