// Where elements of laid out Values lie, for kernels that address them by strides.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ingot/ir/graph.h"

namespace ingot::cuda {

/// Of a Value whose every axis has one stride: plain, permuted, or with one blocked axis innermost,
/// which is then padded ("acdB8b").
struct Strides {
  std::vector<std::int64_t> step;    ///< of the logical axes
  std::vector<std::int64_t> extent;  ///< with padding
};
std::optional<Strides> strides_of(const Layout& layout, const Shape& shape);
inline std::optional<Strides> strides_of(const Value& value) {
  return strides_of(value.layout(), value.shape());
}

}  // namespace ingot::cuda
