// Windows of max pooling over blocks of channels, in SIMD code for the CPU at hand.
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

}  // namespace ingot::cpu
