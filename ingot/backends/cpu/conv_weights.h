// Weights in the layouts that convolutions read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ingot/base/thread_pool.h"

namespace ingot::cpu {

/// How weights in blocks of input channels by output channels ("ABcd16b16a") become what a data
/// gradient reads: blocks of output by input channels ("ABcd16a16b"), the blocks in the same order
/// or with the input's first ("BAcd16a16b").
struct WeightSwap {
  std::int64_t out_blocks = 0;
  std::int64_t in_blocks = 0;
  std::int64_t taps = 0;
  std::int64_t block = 0;
  bool input_first = false;
  std::int64_t parts = 1;  ///< input channels are cut into so many parts, each apart in the result

  void run(const float* from, float* to, ThreadPool& pool) const noexcept;
};

/// Whether WeightSwap leads from one layout to the other; sets block and input_first.
bool weight_swap_between(std::string_view from, std::string_view to, WeightSwap& swap);

/// Adds `count` partial sums, `step` floats apart, to `result`, one after the other.
void add_partials(float* result, const float* partials, std::int64_t step, std::int64_t count,
                  std::int64_t size, ThreadPool& pool) noexcept;

}  // namespace ingot::cpu
