// Sums and maxima of f32 tiles. The order of additions depends on the arguments alone.
#pragma once

#include <cstdint>

namespace ingot {

/// f32 partial sums of at most a tile's length, so that rounding stays near one unit.
double sum_f32(const float* x, std::int64_t n) noexcept;
/// NaN wins. n > 0.
float max_f32(const float* x, std::int64_t n) noexcept;

/// acc[c] += sum over rows of x[row * columns + c].
void column_sum_f32(double* acc, const float* x, std::int64_t rows, std::int64_t columns) noexcept;
/// acc[c] = max(acc[c], x[...]); NaN wins.
void column_max_f32(double* acc, const float* x, std::int64_t rows, std::int64_t columns) noexcept;
/// For d = x[row * columns + c] - shift[c]: sums[c] += d and squares[c] += d^2 over the rows, in
/// one pass. The shifts are f32 values.
void column_shifted_sums_f32(double* sums, double* squares, const double* shift, const float* x,
                             std::int64_t rows, std::int64_t columns) noexcept;

}  // namespace ingot
