// The --data argument: which data set to load.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ingot/base/shape.h"
#include "ingot/data/dataset.h"

namespace ingot::data {

/// A parsed data spec:
///   digits[:FILE]                     OpenCV's 5,000 digits
///   mnist:DIR                         the four IDX files in DIR
///   cifar:DIR                         CIFAR-10's binary files in DIR
///   folder:DIR                        images in DIR/train/CLASS and DIR/test/CLASS
///   synthetic:SHAPE:CLASSES[:COUNT]   random learnable images, SHAPE as 3x32x32
struct DataSpec {
  enum class Kind : std::uint8_t { digits, mnist, cifar, folder, synthetic };
  Kind kind = Kind::digits;
  std::string path = {};   ///< FILE (empty: look in the usual places) or DIR
  Shape image_shape = {};  ///< synthetic: [C,H,W]
  std::int64_t class_count = 0;
  std::int64_t count = 0;  ///< synthetic: training samples; a quarter as many for the test

  /// The text that parses to this spec, with COUNT always there.
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const DataSpec&, const DataSpec&) = default;
};

/// A kind of source, for usage texts.
struct DataKind {
  std::string_view name;
  std::string_view syntax;
  std::string_view summary;
};
std::span<const DataKind> data_kinds() noexcept;

/// Error (invalid_argument) `data "spec": <rule>, got ...` with the kinds and close names.
DataSpec parse_data_spec(std::string_view text);

/// Load both halves. The seed decides the digits' split and the synthetic images. Errors: those of
/// the source.
DatasetPair load_data(const DataSpec& spec, std::uint64_t seed = 0);
/// `load_data("mnist:DIR")`. Errors: also those of parse_data_spec.
DatasetPair load_data(std::string_view spec, std::uint64_t seed = 0);

}  // namespace ingot::data
