// Labelled images in host memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ingot/base/host_view.h"
#include "ingot/base/shape.h"

namespace ingot::data {

enum class Split : std::uint8_t { train, test };
/// "train" or "test".
const char* split_name(Split split) noexcept;

struct Dataset {
  std::string name;  ///< "mnist", "digits", ...
  Split split = Split::train;
  HostTensor images;  ///< u8 (0 black, 255 white) or f32, [N,C,H,W]
  HostTensor labels;  ///< i32 [N], each in [0, class_count)
  std::int64_t class_count = 0;
  std::vector<std::string> class_names;  ///< one per class

  [[nodiscard]] std::int64_t size() const noexcept { return labels.type().numel(); }
  /// [C,H,W]
  [[nodiscard]] Shape image_shape() const;
  /// "mnist train: 60000 images u8[1,28,28], 10 classes"
  [[nodiscard]] std::string description() const;
};

/// The two halves of a source.
struct DatasetPair {
  Dataset train;
  Dataset test;
};

/// Throws Error (invalid_data) `dataset "mnist train": <rule>, got ...` unless shapes, dtypes,
/// counts and labels are as Dataset says.
void check_dataset(const Dataset& dataset);

/// "0", "1", ... for classes without names of their own.
std::vector<std::string> numbered_class_names(std::int64_t class_count);

/// The samples with these indices, in this order.
Dataset subset(const Dataset& dataset, std::span<const std::int64_t> indices, Split split);

/// Split a source that has no test set of its own. `test_count` samples go to the test set, from
/// each class in proportion to its size (largest remainder), chosen by the seed; both halves keep
/// the order of the source. Error (invalid_argument) unless 0 < test_count < size.
DatasetPair stratified_split(const Dataset& all, std::int64_t test_count, std::uint64_t seed);

/// What makes pixels zero-mean and unit-variance: (x - mean) / stddev per channel, where x is the
/// u8 value over 255, or the f32 value. Empty vectors stand for mean 0 and stddev 1.
struct Normalization {
  std::vector<float> mean;
  std::vector<float> stddev;
  friend bool operator==(const Normalization&, const Normalization&) = default;
};

/// Mean and standard deviation of each channel over all pixels; stddev 1 for a constant channel.
Normalization measure_normalization(const Dataset& dataset);

}  // namespace ingot::data
