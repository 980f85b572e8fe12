// Random images whose class can be learnt.
#pragma once

#include <cstdint>

#include "ingot/base/shape.h"
#include "ingot/data/dataset.h"

namespace ingot::data {

struct SyntheticOptions {
  Shape image_shape;  ///< [C,H,W]
  std::int64_t class_count = 10;
  std::int64_t train_count = 2048;
  std::int64_t test_count = 512;
  std::uint64_t seed = 0;
};

/// u8 images: each class has a colour of its own per channel and waves of its own direction and
/// length, under noise of the same strength. Pixels lie within [16, 239]. Classes take turns, so
/// that every class has its share. Train and test differ in the noise alone.
DatasetPair make_synthetic(const SyntheticOptions& options);

}  // namespace ingot::data
