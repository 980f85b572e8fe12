#include "ingot/backends/cpu/reducer.h"

#include <algorithm>
#include <array>
#include <limits>

#include "ingot/backends/cpu/reduce_simd.h"
#include "ingot/base/host_view.h"

namespace ingot {
namespace {

double larger(double best, double x) noexcept { return best != best || best > x ? best : x; }

/// Count, mean and sum of squares about it of one column, by the pairwise formula of Chan, Golub
/// and LeVeque 1979.
void add_moments(Accumulator* acc, std::int64_t columns, std::int64_t c, double count, double mean,
                 double squares) noexcept {
  double& n = acc[c].real;
  double& m = acc[columns + c].real;
  double& s = acc[2 * columns + c].real;
  const double total = n + count;
  if (total == 0) return;
  const double delta = mean - m;
  s += squares + delta * delta * (n * count / total);
  m += delta * (count / total);
  n = total;
}

/// What lies behind the three accumulators of add_moments: how many elements came since, and their
/// sum and sum of squares about a shift.
struct Recent {
  double* count;  // the same for every column
  double* sums;
  double* squares;
  double* shift;  // rounded to f32

  Recent(Accumulator* acc, std::int64_t columns) noexcept
      : count(&acc[3 * columns].real),
        sums(&acc[4 * columns].real),
        squares(&acc[5 * columns].real),
        shift(&acc[6 * columns].real) {}
};

/// The recent elements become part of the mean and the squares about it.
void settle(Accumulator* acc, std::int64_t columns) noexcept {
  const Recent recent(acc, columns);
  const double n = *recent.count;
  if (n == 0) return;
  for (std::int64_t c = 0; c < columns; ++c) {
    const double off = recent.sums[c] / n;
    add_moments(acc, columns, c, n, recent.shift[c] + off, recent.squares[c] - n * off * off);
    recent.sums[c] = recent.squares[c] = 0.0;
  }
  *recent.count = 0;
}

/// Whole rows. The shift is the mean so far; the first time, that of these rows. It moves when four
/// times as much has come since: so squares about it are at most a few times those about the mean,
/// and there are few divisions.
void add_moment_rows(Accumulator* acc, std::int64_t columns, const float* x,
                     std::int64_t rows) noexcept {
  const Recent recent(acc, columns);
  const bool first = acc[0].real == 0;
  if (*recent.count == 0) {
    if (first) column_sum_f32(recent.sums, x, rows, columns);
    for (std::int64_t c = 0; c < columns; ++c) {
      const double mean =
          first ? recent.sums[c] / static_cast<double>(rows) : acc[columns + c].real;
      recent.shift[c] = static_cast<double>(static_cast<float>(mean));
      recent.sums[c] = 0.0;
    }
  }
  column_shifted_sums_f32(recent.sums, recent.squares, recent.shift, x, rows, columns);
  *recent.count += static_cast<double>(rows);
  if (*recent.count >= 4 * acc[0].real) settle(acc, columns);
}

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
  if (kind_ == ReductionKind::moments) {
    std::fill_n(acc, width() * columns, start);
    return;
  }
  if (lane_ == Lane::i64) {
    start.integer = kind_ == ReductionKind::sum ? 0 : std::numeric_limits<std::int64_t>::min();
  } else {
    start.real = kind_ == ReductionKind::sum ? 0.0 : -std::numeric_limits<double>::infinity();
  }
  std::fill_n(acc, columns, start);
}

void Reducer::add(Accumulator* acc, std::int64_t columns, const TileArg& tile, std::int64_t offset,
                  std::int64_t n, std::int64_t column) const noexcept {
  if (kind_ == ReductionKind::moments) {
    const auto one = [&](std::int64_t c, auto x) {
      add_moments(acc, columns, c, 1.0, static_cast<double>(x), 0.0);
    };
    if (lane_ == Lane::f64) return add_each<double>(tile, offset, n, column, columns, one);
    if (tile.splat || column != 0 || n % columns != 0) {
      return add_each<float>(tile, offset, n, column, columns, one);
    }
    return add_moment_rows(acc, columns, static_cast<const float*>(tile.data) + offset,
                           n / columns);
  }
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

void Reducer::close(Accumulator* acc, std::int64_t columns) const noexcept {
  if (kind_ == ReductionKind::moments) settle(acc, columns);
}

void Reducer::merge(Accumulator* acc, const Accumulator* other,
                    std::int64_t columns) const noexcept {
  if (kind_ == ReductionKind::moments) {
    for (std::int64_t c = 0; c < columns; ++c) {
      add_moments(acc, columns, c, other[c].real, other[columns + c].real,
                  other[2 * columns + c].real);
    }
    return;
  }
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

void Reducer::write(const std::array<ReducedTarget, 2>& results, const Accumulator* acc,
                    const ReducePlan& plan, std::int64_t group) const noexcept {
  if (kind_ != ReductionKind::moments) return write_one(results[0], acc, scale_, plan, group);
  const std::int64_t columns = plan.columns();
  if (results[0].data != nullptr) write_one(results[0], acc + columns, 1.0, plan, group);
  const double count = acc[0].real;
  if (results[1].data != nullptr)
    write_one(results[1], acc + 2 * columns, 1.0 / count, plan, group);
}

void Reducer::write_one(const ReducedTarget& result, const Accumulator* acc, double scale,
                        const ReducePlan& plan, std::int64_t group) const noexcept {
  const HostView view{{dtype_, Shape{}}, result.data};
  for (std::int64_t c = 0; c < plan.columns(); ++c) {
    std::int64_t index = plan.result_index(group, c);
    if (index < 0) continue;
    if (result.offsets != nullptr) index = result.offsets[index];
    if (lane_ == Lane::i64) {
      // Through double, as the reference: out-of-range sums saturate.
      dtype_ == DType::i64 ? view.set_int(index, acc[c].integer)
                           : view.set(index, static_cast<double>(acc[c].integer));
    } else if (dtype_ == DType::f32) {
      reinterpret_cast<float*>(result.data)[index] = static_cast<float>(acc[c].real * scale);
    } else {
      view.set(index, acc[c].real * scale);
    }
  }
}

}  // namespace ingot
