// Random changes to training images on the host.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace ingot::data {

/// The draws for one sample in one epoch: a function of (seed, epoch, sample index, how many draws
/// came before), so that neither batch size nor worker count matters.
class AugmentRandom {
 public:
  AugmentRandom(std::uint64_t seed, std::int64_t epoch, std::int64_t sample) noexcept
      : seed_(seed), epoch_(epoch), sample_(sample) {}
  /// Uniform in [0, bound), bound > 0. At most 1024 draws a sample are independent.
  std::int64_t below(std::int64_t bound) noexcept;

 private:
  std::uint64_t seed_;
  std::int64_t epoch_;
  std::int64_t sample_;
  std::uint64_t draws_ = 0;
};

/// What an augmentation works on.
struct AugmentSample {
  std::span<float> pixels;   ///< [C,H,W], changed in place; u8 images already divided by 255, and
                             ///< not yet normalised
  std::span<float> scratch;  ///< as large as pixels, contents arbitrary
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  AugmentRandom random;
};

/// Called from several threads at once; must be a function of the sample alone.
using Augment = std::function<void(AugmentSample&)>;

/// How one image is moved: element (h, w) is the one at (h + down, w' + right), w' = width - 1 - w
/// where it is mirrored.
struct Move {
  std::int64_t down = 0;
  std::int64_t right = 0;
  bool mirror = false;
};
/// random_crop_flip()'s next draws.
Move draw_move(AugmentRandom& random, std::int64_t padding, bool flip) noexcept;

/// Pad by `padding` black pixels on every side, cut out a window of the old size at a random place,
/// and, if `flip`, mirror left and right in half of the cases.
Augment random_crop_flip(std::int64_t padding, bool flip);

}  // namespace ingot::data
