// Convolutions of one item of the batch by one block, without tiles of operands.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "ingot/backends/cuda/element.h"

namespace ingot::cuda {

struct DirectConv {
  std::string body = {};  ///< of a unit that is an item
  int shared_bytes = 0;
  double cycles = 0;  ///< expected, of one item
};

/// Appends what stores the element `value` of the result at c0 (the item, unless the result is a
/// sum over items), c1, c2, c3.
using DirectStore = std::function<void(std::string& code, const std::string& value)>;

/// Of a conv2d, conv2d_input_grad or conv2d_weight_grad in f32; none where its memory would not fit
/// or its window is one that this form does not have.
std::optional<DirectConv> direct_conv(const Node& producer, const Region& region,
                                      const DirectStore& store);

}  // namespace ingot::cuda
