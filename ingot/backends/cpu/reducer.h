// Accumulates the tiles of a reduction's operand and writes its result.
#pragma once

#include <array>
#include <cstdint>

#include "ingot/backends/cpu/fused_body.h"
#include "ingot/backends/cpu/reduce_plan.h"

namespace ingot {

/// One accumulator: f32 and f64 sums in double, integers exactly.
union Accumulator {
  double real;
  std::int64_t integer;
};

/// Where a result goes: its memory and, for other layouts than plain, where each element lies
/// there.
struct ReducedTarget {
  std::byte* data = nullptr;
  const std::int64_t* offsets = nullptr;
};

class Reducer {
 public:
  Reducer(const FusedReduction& reduction, Lane lane) noexcept
      : kind_(reduction.kind), scale_(reduction.scale), dtype_(reduction.dtype), lane_(lane) {}

  /// Accumulators of one column, those of all columns side by side. Moments keep a count, a mean
  /// and a sum of squares about it; then, of what came since, the same about a value near the mean.
  [[nodiscard]] std::int64_t width() const noexcept {
    return kind_ == ReductionKind::moments ? 7 : 1;
  }
  void reset(Accumulator* acc, std::int64_t columns) const noexcept;
  /// Adds `n` elements of a tile, the first of which belongs to `column`.
  void add(Accumulator* acc, std::int64_t columns, const TileArg& tile, std::int64_t offset,
           std::int64_t n, std::int64_t column) const noexcept;
  /// After the last add() and before merge() or write().
  void close(Accumulator* acc, std::int64_t columns) const noexcept;
  /// acc += other, per column.
  void merge(Accumulator* acc, const Accumulator* other, std::int64_t columns) const noexcept;
  /// Writes a group's results; a null one is not needed.
  void write(const std::array<ReducedTarget, 2>& results, const Accumulator* acc,
             const ReducePlan& plan, std::int64_t group) const noexcept;

 private:
  void write_one(const ReducedTarget& result, const Accumulator* acc, double scale,
                 const ReducePlan& plan, std::int64_t group) const noexcept;

  ReductionKind kind_;
  double scale_;
  DType dtype_;
  Lane lane_;
};

}  // namespace ingot
