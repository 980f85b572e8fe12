#include "ingot/backends/cpu/conv_weights.h"

#include <algorithm>

namespace ingot::cpu {
namespace {

template <int block>
void swap_block(const float* from, float* to) noexcept {
  for (int o = 0; o < block; ++o) {
    for (int i = 0; i < block; ++i) to[o * block + i] = from[i * block + o];
  }
}

}  // namespace

void WeightSwap::run(const float* from, float* to, ThreadPool& pool) const noexcept {
  const std::int64_t area = block * block;
  pool.parallel_for(out_blocks * in_blocks, [&](std::int64_t task, int) {
    const std::int64_t o = task / in_blocks;
    const std::int64_t i = task % in_blocks;
    const float* source = from + task * taps * area;
    const std::int64_t part_blocks = in_blocks / parts;
    const std::int64_t part = i / part_blocks;
    const std::int64_t in_part =
        part * out_blocks * part_blocks + o * part_blocks + i % part_blocks;
    float* target = to + (input_first ? i * out_blocks + o : in_part) * taps * area;
    for (std::int64_t tap = 0; tap < taps; ++tap, source += area, target += area) {
      if (block == 16) {
        swap_block<16>(source, target);
      } else {
        swap_block<8>(source, target);
      }
    }
  });
}

bool weight_swap_between(std::string_view from, std::string_view to, WeightSwap& swap) {
  if (from == "ABcd16b16a" && (to == "ABcd16a16b" || to == "BAcd16a16b")) {
    swap.block = 16;
  } else if (from == "ABcd8b8a" && (to == "ABcd8a8b" || to == "BAcd8a8b")) {
    swap.block = 8;
  } else {
    return false;
  }
  swap.input_first = to.starts_with("BA");
  return true;
}

void add_partials(float* result, const float* partials, std::int64_t step, std::int64_t count,
                  std::int64_t size, ThreadPool& pool) noexcept {
  if (count == 0) return;
  constexpr std::int64_t kChunk = 4096;
  pool.parallel_for((size + kChunk - 1) / kChunk, [&](std::int64_t chunk, int) {
    const std::int64_t begin = chunk * kChunk;
    const std::int64_t end = std::min(begin + kChunk, size);
    for (std::int64_t group = 0; group < count; ++group) {
      const float* partial = partials + group * step;
      for (std::int64_t i = begin; i < end; ++i) result[i] += partial[i];
    }
  });
}

}  // namespace ingot::cpu
