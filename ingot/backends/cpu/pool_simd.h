// Windows of pooling in SIMD code for the CPU at hand: of max pooling over blocks of channels, and
// of both kinds along the rows of plain images.
#pragma once

#include <cstdint>

namespace ingot::cpu {

/// rows x columns elements of an image, each `lanes` (8 or 16) channels side by side; steps in
/// floats.
struct MaxWindow {
  const float* first = nullptr;
  std::int64_t rows = 0, columns = 0;
  std::int64_t row = 0, column = 0;
  std::int64_t lanes = 0;
};

/// The greatest of each channel; NaN where there is one, -inf where the window is empty.
using MaxWindowFn = void (*)(const MaxWindow& window, float* to);
MaxWindowFn max_window_fn();

/// Adds a gradient of each lane to `sums`, laid out as the window's image, where the window's
/// greatest element lies; the first of equal ones, and NaN before all.
using MaxWindowGradFn = void (*)(const MaxWindow& window, const float* gradient, float* sums);
MaxWindowGradFn max_window_grad_fn();

/// `count` windows side by side in a row, all of rows x columns elements of a plain image; steps in
/// floats.
struct PlainWindows {
  std::int64_t rows = 0, columns = 0;
  std::int64_t row = 0, column = 0;
  std::int64_t stride = 1;  ///< from one window to the next
  std::int64_t count = 0;
};

/// Whether such windows can be worked on side by side.
constexpr bool plain_windows_fit(std::int64_t columns, std::int64_t stride,
                                 std::int64_t column_step) {
  return stride == 1 || (stride == 2 && column_step == 1 && columns > 1);
}

/// `x`: the first element of the first window; `sums` lies as it does. Each window's elements are
/// taken in row-major order, as they are one by one.
struct PlainWindowsCode {
  void (*max)(const PlainWindows& windows, const float* x, float* to);
  void (*average)(const PlainWindows& windows, float factor, const float* x, float* to);
  void (*max_grad)(const PlainWindows& windows, const float* x, const float* gradient, float* sums);
};
const PlainWindowsCode& plain_windows();

}  // namespace ingot::cpu
