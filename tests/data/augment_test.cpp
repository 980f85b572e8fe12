#include "ingot/data/augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "tests/support/expect_error.h"

namespace ingot::data {
namespace {

using testing_support::error_of;

constexpr std::int64_t kChannels = 2;
constexpr std::int64_t kHeight = 4;
constexpr std::int64_t kWidth = 5;

// The image 1, 2, 3, ... after the augmentation.
std::vector<float> augmented(const Augment& augment, std::int64_t epoch, std::int64_t sample) {
  std::vector<float> pixels(kChannels * kHeight * kWidth);
  std::iota(pixels.begin(), pixels.end(), 1.0f);
  std::vector<float> scratch(pixels.size());
  AugmentSample input{pixels, scratch, kChannels, kHeight, kWidth, AugmentRandom(9, epoch, sample)};
  augment(input);
  return pixels;
}

// What random_crop_flip may make of it: shifted by (y, x), then perhaps mirrored.
std::vector<float> expected(std::int64_t shift_y, std::int64_t shift_x, bool mirrored) {
  std::vector<float> out;
  for (std::int64_t c = 0; c < kChannels; ++c) {
    for (std::int64_t y = 0; y < kHeight; ++y) {
      for (std::int64_t x = 0; x < kWidth; ++x) {
        const std::int64_t from_y = y + shift_y;
        const std::int64_t from_x = (mirrored ? kWidth - 1 - x : x) + shift_x;
        const bool inside = from_y >= 0 && from_y < kHeight && from_x >= 0 && from_x < kWidth;
        out.push_back(inside ? static_cast<float>((c * kHeight + from_y) * kWidth + from_x + 1)
                             : 0.0f);
      }
    }
  }
  return out;
}

TEST(RandomCropFlip, MakesEveryShiftAndMirrorAboutEquallyOften) {
  constexpr std::int64_t kPadding = 2;
  std::map<std::vector<float>, int> counts;
  constexpr int kDraws = 10000;
  const Augment augment = random_crop_flip(kPadding, true);
  for (std::int64_t sample = 0; sample < kDraws; ++sample) ++counts[augmented(augment, 0, sample)];
  int found = 0;
  for (std::int64_t y = -kPadding; y <= kPadding; ++y) {
    for (std::int64_t x = -kPadding; x <= kPadding; ++x) {
      for (const bool mirrored : {false, true}) {
        const int count = counts[expected(y, x, mirrored)];
        EXPECT_NEAR(count, kDraws / 50, 60) << y << ' ' << x << ' ' << mirrored;
        found += count;
      }
    }
  }
  EXPECT_EQ(found, kDraws);
}

// Padding beyond the image's size may leave nothing of it.
TEST(RandomCropFlip, SurvivesLargePadding) {
  const Augment augment = random_crop_flip(9, false);
  std::set<std::vector<float>> seen;
  for (std::int64_t sample = 0; sample < 2000; ++sample) {
    seen.insert(augmented(augment, 0, sample));
  }
  EXPECT_TRUE(seen.contains(std::vector<float>(kChannels * kHeight * kWidth)));
  for (std::int64_t y = -3; y <= 3; ++y) {
    for (std::int64_t x = -4; x <= 4; ++x) EXPECT_TRUE(seen.contains(expected(y, x, false)));
  }
}

TEST(RandomCropFlip, DependsOnEpochAndSample) {
  const Augment augment = random_crop_flip(4, true);
  int same_epoch = 0;
  int same_sample = 0;
  for (std::int64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(augmented(augment, 1, i), augmented(augment, 1, i));
    same_epoch += augmented(augment, 1, i) == augmented(augment, 1, i + 1);
    same_sample += augmented(augment, i, 1) == augmented(augment, i + 1, 1);
  }
  EXPECT_LT(same_epoch, 10);
  EXPECT_LT(same_sample, 10);
}

TEST(RandomCropFlip, NothingToDoLeavesTheImage) {
  EXPECT_EQ(augmented(random_crop_flip(0, false), 3, 4), expected(0, 0, false));
}

TEST(RandomCropFlip, RefusesNegativePadding) {
  EXPECT_EQ(error_of([] { (void)random_crop_flip(-1, true); }),
            "augment: padding must not be negative, got -1");
}

}  // namespace
}  // namespace ingot::data
