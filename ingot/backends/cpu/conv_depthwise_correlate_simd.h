// The inner loops of depthwise convolutions and their data gradients, in SIMD code for the CPU at
// hand.
#pragma once

#include <cstdint>

#include "ingot/backends/cpu/conv_depthwise_plan.h"

namespace ingot::cpu {

/// Rows [begin, end) of one block of channels of one image. Source and result are planes of
/// [pixels][block], the weights [taps][block].
struct DepthwiseRowsArgs {
  const DepthwisePlan* plan = nullptr;
  std::int64_t block = 0;  ///< 8 or 16 channels
  std::int64_t begin = 0, end = 0;
  std::int64_t source_begin = 0;  ///< the row that `source` points to
  const float* source = nullptr;
  const float* weights = nullptr;
  const float* bias = nullptr;  ///< of each channel, or null
  bool relu = false;
  float* result = nullptr;  ///< of row `begin`
};

struct DepthwiseCode {
  void (*rows)(const DepthwiseRowsArgs& args);
  /// to[i][c] = planes[c][i] for i < count. Planes may be missing by fours, from the last on: 0.
  void (*gather)(const float* const* planes, std::int64_t block, std::int64_t count, float* to);
  /// planes[c][i] = from[i][c] for i < count. Planes may be missing likewise.
  void (*scatter)(const float* from, std::int64_t block, std::int64_t count, float* const* planes);
  /// f32 elements of a vector.
  std::int64_t (*lanes)();
};
/// For the widest vectors of the CPU at hand.
DepthwiseCode depthwise_code();

}  // namespace ingot::cpu
