// The inner loops of Ingot's own convolutions, in SIMD code for the CPU at hand.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ingot/backends/cpu/conv_direct_plan.h"

namespace ingot::cpu {

/// One band of output rows of one image and group, all its output channels.
template <typename T>
struct CorrelateArgs {
  const T* planes =
      nullptr;  ///< of the first input channel; readable beyond the last (kPlaneSlack)
  std::int64_t channel_size = 0;
  std::int64_t channels = 0;
  const std::int32_t* taps = nullptr;  ///< offsets into a channel's planes
  int num_taps = 0;
  std::int64_t pitch = 0;
  std::int64_t rows = 0, columns = 0;
  /// [blocks of correlate_block(...) output channels][channels][taps][block]; 0 beyond the last.
  const T* weights = nullptr;
  std::int64_t block = 0;
  std::int64_t out_channels = 0;
  const T* bias = nullptr;  ///< of each output channel, or null
  bool relu = false;
  /// Element (o, u, v) goes to out[out_channel[o] + out_row[u] + v * column_step].
  T* out = nullptr;
  const std::int64_t* out_channel = nullptr;
  const std::int64_t* out_row = nullptr;
  std::int64_t column_step = 1;
  /// What is wanted next, fetched into the second-level cache little by little; null: nothing.
  const std::byte* next = nullptr;
  std::int64_t next_bytes = 0;
};

/// Products of the planes of x with rows of a gradient, summed over images, rows and their
/// elements.
template <typename T>
struct DotArgs {
  const T* x = nullptr;
  const std::int32_t* columns = nullptr;  ///< offset of each of the `num_columns` shifted planes
  std::int64_t num_columns = 0;
  std::int64_t x_image = 0, x_row = 0;
  const T* g = nullptr;
  std::int64_t channels = 0;  ///< of the gradient
  std::int64_t g_channel = 0, g_image = 0, g_row = 0;
  std::int64_t images = 0, rows = 0, length = 0;  ///< length: elements of a row
  T* sums = nullptr;                              ///< [channels][num_columns]
  bool add = false;                               ///< to what is in `sums`
};

/// Rows u0 ... u0 + rows + halo of the planes of one channel, `phase_size` elements from one phase
/// to the next.
template <typename T>
struct FillArgs {
  const T* source = nullptr;  ///< the channel of one image
  const std::int64_t* source_row = nullptr;
  std::int64_t source_column = 1;
  std::int64_t u0 = 0, rows = 0;
  std::int64_t phase_size = 0;
  T* planes = nullptr;
};

/// Elements that may be read beyond the last plane.
inline constexpr std::int64_t kPlaneSlack = 128;

/// The functions for the widest vectors of the CPU at hand.
template <typename T>
struct DirectConv {
  /// Output channels computed together, given how many there are.
  std::int64_t (*correlate_block)(std::int64_t out_channels);
  void (*correlate)(const CorrelateArgs<T>& args);
  void (*dot)(const DotArgs<T>& args);
  void (*fill)(const PlaneGeometry& geometry, const FillArgs<T>& args);
  /// Elements of a vector.
  std::int64_t (*lanes)();
};
template <typename T>
DirectConv<T> direct_conv();
template <>
DirectConv<float> direct_conv<float>();
template <>
DirectConv<double> direct_conv<double>();

}  // namespace ingot::cpu
