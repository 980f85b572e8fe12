// A data set small enough to look at.
#pragma once

#include <cstdint>

#include "ingot/data/dataset.h"

namespace ingot::data {

/// Pixel i of sample n is 31 i + n modulo 256, its label n modulo `classes`.
inline Dataset tiny_dataset(std::int64_t count, const Shape& image, std::int64_t classes) {
  Dataset dataset;
  dataset.name = "tiny";
  dataset.images = HostTensor({DType::u8, {count, image[0], image[1], image[2]}});
  dataset.labels = HostTensor({DType::i32, {count}});
  dataset.class_count = classes;
  dataset.class_names = numbered_class_names(classes);
  for (std::int64_t n = 0; n < count; ++n) {
    dataset.labels.view().set_int(n, n % classes);
    for (std::int64_t i = 0; i < image.numel(); ++i) {
      dataset.images.view().set_int(n * image.numel() + i, (31 * i + n) & 0xff);
    }
  }
  return dataset;
}

}  // namespace ingot::data
