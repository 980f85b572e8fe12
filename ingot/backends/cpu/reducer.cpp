#include "ingot/backends/cpu/reducer.h"

#include <algorithm>
#include <limits>

#include "ingot/backends/cpu/reduce_simd.h"
#include "ingot/base/host_view.h"

namespace ingot {
namespace {

double larger(double best, double x) noexcept { return best != best || best > x ? best : x; }

/// The generic way: element by element, wrapping round the columns.
template <class T, class Combine>
void add_each(const TileArg& tile, std::int64_t offset, std::int64_t n, std::int64_t column,
              std::int64_t columns, const Combine& combine) noexcept {
  const auto* x = static_cast<const T*>(tile.data);
  for (std::int64_t i = 0; i < n; ++i) {
    combine(column, x[tile.splat ? 0 : offset + i]);
    if (++column == columns) column = 0;
  }
}

}  // namespace

void Reducer::reset(Accumulator* acc, std::int64_t columns) const noexcept {
  Accumulator start{};
  if (lane_ == Lane::i64) {
    start.integer = kind_ == ReductionKind::sum ? 0 : std::numeric_limits<std::int64_t>::min();
  } else {
    start.real = kind_ == ReductionKind::sum ? 0.0 : -std::numeric_limits<double>::infinity();
  }
  std::fill_n(acc, columns, start);
}

void Reducer::add(Accumulator* acc, std::int64_t columns, const TileArg& tile, std::int64_t offset,
                  std::int64_t n, std::int64_t column) const noexcept {
  const bool sums = kind_ == ReductionKind::sum;
  if (lane_ == Lane::i64) {
    return add_each<std::int64_t>(tile, offset, n, column, columns, [&](auto c, std::int64_t x) {
      acc[c].integer = sums ? acc[c].integer + x : std::max(acc[c].integer, x);
    });
  }
  if (lane_ == Lane::f64) {
    return add_each<double>(tile, offset, n, column, columns, [&](auto c, double x) {
      acc[c].real = sums ? acc[c].real + x : larger(acc[c].real, x);
    });
  }
  const auto* x = static_cast<const float*>(tile.data) + (tile.splat ? 0 : offset);
  if (!tile.splat && columns == 1) {
    acc->real =
        sums ? acc->real + sum_f32(x, n) : larger(acc->real, static_cast<double>(max_f32(x, n)));
    return;
  }
  const bool whole_rows = column == 0 && n % columns == 0;
  if (!tile.splat && (whole_rows || column + n <= columns)) {
    const std::int64_t rows = whole_rows ? n / columns : 1;
    const std::int64_t width = whole_rows ? columns : n;
    double* totals = &acc[column].real;
    return sums ? column_sum_f32(totals, x, rows, width) : column_max_f32(totals, x, rows, width);
  }
  add_each<float>(tile, offset, n, column, columns, [&](auto c, float value) {
    const auto wide = static_cast<double>(value);
    acc[c].real = sums ? acc[c].real + wide : larger(acc[c].real, wide);
  });
}

void Reducer::merge(Accumulator* acc, const Accumulator* other,
                    std::int64_t columns) const noexcept {
  const bool sums = kind_ == ReductionKind::sum;
  for (std::int64_t c = 0; c < columns; ++c) {
    if (lane_ == Lane::i64) {
      acc[c].integer =
          sums ? acc[c].integer + other[c].integer : std::max(acc[c].integer, other[c].integer);
    } else {
      acc[c].real = sums ? acc[c].real + other[c].real : larger(acc[c].real, other[c].real);
    }
  }
}

void Reducer::write(std::byte* result, const Accumulator* acc, const ReducePlan& plan,
                    std::int64_t group) const noexcept {
  const HostView view{{dtype_, Shape{}}, result};
  for (std::int64_t c = 0; c < plan.columns(); ++c) {
    const std::int64_t index = plan.result_index(group, c);
    if (index < 0) continue;
    if (lane_ == Lane::i64) {
      // Through double, as the reference: out-of-range sums saturate.
      dtype_ == DType::i64 ? view.set_int(index, acc[c].integer)
                           : view.set(index, static_cast<double>(acc[c].integer));
    } else if (dtype_ == DType::f32) {
      reinterpret_cast<float*>(result)[index] = static_cast<float>(acc[c].real * scale_);
    } else {
      view.set(index, acc[c].real * scale_);
    }
  }
}

}  // namespace ingot
