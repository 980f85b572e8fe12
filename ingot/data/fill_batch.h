// Turning samples of a Dataset into a normalised batch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ingot/data/augment.h"
#include "ingot/data/dataset.h"

namespace ingot::data {

/// Writes samples as f32, augmented and normalised. Immutable, so threads can share it.
class BatchFiller {
 public:
  /// `normalization` is empty or has one mean and one positive stddev for each channel.
  BatchFiller(const Dataset& dataset, const Normalization& normalization, Augment augment,
              std::uint64_t seed);

  /// Fill images [n,C,H,W] and labels [n] with the samples `indices` in `epoch`; `scratch` holds
  /// one image. Throws what the augmentation throws.
  void fill(std::span<const std::int64_t> indices, std::int64_t epoch, std::span<float> images,
            std::span<std::int32_t> labels, std::span<float> scratch) const;

 private:
  void load(std::size_t index, std::span<float> out) const;
  void normalize(std::span<float> image) const noexcept;

  const Dataset* dataset_;
  Augment augment_;
  std::uint64_t seed_;
  std::size_t channels_;
  std::size_t plane_;
  std::vector<float> mean_;
  std::vector<float> stddev_;
  std::vector<float> table_;  // normalised value of each u8 value, per channel
};

}  // namespace ingot::data
