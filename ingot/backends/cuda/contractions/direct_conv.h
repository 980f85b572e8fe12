// Convolutions of one item of the batch by one block, without tiles of operands.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "ingot/backends/cuda/kernels/element.h"

namespace ingot::cuda {

struct DirectConv {
  std::string body = {};  ///< of a unit that is an item
  int shared_bytes = 0;
  double cycles = 0;  ///< expected, of one item
};

/// What stores the results.
struct DirectStore {
  /// Appends what stores the element `total` at c0 (the item, unless the result is a sum over
  /// items), c1, c2, c3.
  std::function<void(std::string& code)> one;
  /// Appends what stores the first `count`, or all n where it is `whole`, of `totals[n]`:
  /// neighbours at c0, c1, c2 from w on.
  std::function<void(std::string& code, int n, bool whole)> row;
};

/// Of a conv2d, conv2d_input_grad or conv2d_weight_grad; none where its memory would not fit
/// or its window is one that this form does not have.
std::optional<DirectConv> direct_conv(const Node& producer, const Region& region,
                                      const DirectStore& store);

}  // namespace ingot::cuda
