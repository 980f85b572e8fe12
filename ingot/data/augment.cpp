#include "ingot/data/augment.h"

#include <fmt/core.h>

#include <algorithm>

#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/data/random_order.h"

namespace ingot::data {
namespace {

constexpr std::uint64_t kDrawsPerSample = 1024;

// pixels[c][y][x] = scratch[c][y + shift_y][x + shift_x], black outside.
void shift(AugmentSample& sample, std::int64_t shift_y, std::int64_t shift_x) {
  std::ranges::copy(sample.pixels, sample.scratch.begin());
  const std::int64_t begin = std::clamp<std::int64_t>(-shift_x, 0, sample.width);
  const std::int64_t end = std::clamp<std::int64_t>(sample.width - shift_x, begin, sample.width);
  float* out = sample.pixels.data();
  for (std::int64_t channel = 0; channel < sample.channels; ++channel) {
    for (std::int64_t y = 0; y < sample.height; ++y, out += sample.width) {
      const std::int64_t from = y + shift_y;
      std::fill_n(out, sample.width, 0.0f);
      if (from < 0 || from >= sample.height || begin == end) continue;
      const float* row = sample.scratch.data() + (channel * sample.height + from) * sample.width;
      std::copy(row + begin + shift_x, row + end + shift_x, out + begin);
    }
  }
}

}  // namespace

std::int64_t AugmentRandom::below(std::int64_t bound) noexcept {
  const std::uint64_t index =
      static_cast<std::uint64_t>(sample_) * kDrawsPerSample + draws_++ % kDrawsPerSample;
  return static_cast<std::int64_t>(
      philox_below(seed_, static_cast<std::uint32_t>(DataStream::augment),
                   static_cast<std::uint64_t>(epoch_), index, static_cast<std::uint64_t>(bound)));
}

Move draw_move(AugmentRandom& random, std::int64_t padding, bool flip) noexcept {
  Move move;
  move.down = random.below(2 * padding + 1) - padding;
  move.right = random.below(2 * padding + 1) - padding;
  move.mirror = flip && random.below(2) != 0;
  return move;
}

Augment random_crop_flip(std::int64_t padding, bool flip) {
  if (padding < 0) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("augment: padding must not be negative, got {}", padding));
  }
  return [padding, flip](AugmentSample& sample) {
    const Move move = draw_move(sample.random, padding, flip);
    if (move.down != 0 || move.right != 0) shift(sample, move.down, move.right);
    if (!move.mirror) return;
    for (auto row = sample.pixels.begin(); row != sample.pixels.end(); row += sample.width) {
      std::reverse(row, row + sample.width);
    }
  };
}

}  // namespace ingot::data
