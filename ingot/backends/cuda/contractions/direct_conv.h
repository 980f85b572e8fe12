// Convolutions of one item of the batch by one block or some, without tiles of operands.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "ingot/backends/cuda/kernels/element.h"

namespace ingot::cuda {

struct DirectConv {
  std::string body = {};
  std::int64_t parts = 1;  ///< units of an item
  int shared_bytes = 0;
  double cycles = 0;  ///< expected, of one unit
};

/// What stores the results. The texts may use `own`, the item.
struct DirectStore {
  /// Appends what stores the element `total` at c0 (the item, unless the result is a sum over
  /// items), c1, c2, c3.
  std::function<void(std::string& code)> one;
  /// Appends what stores the first `count`, or all n where it is `whole`, of `totals[n]`:
  /// neighbours at c0, c1, c2 from w on.
  std::function<void(std::string& code, int n, bool whole)> row;
  /// Whether rows are stored by one text for all of a thread's channels, since it is long: the
  /// kernel of a step should fit the instruction cache.
  bool once = false;
};

/// Of a conv2d, conv2d_input_grad or conv2d_weight_grad; none where its memory would not fit
/// or its window is one that this form does not have. An item is one unit, or with `spread` units
/// of some channels or rows each, as many as let `blocks` blocks get through `items` items first.
std::optional<DirectConv> direct_conv(const Node& producer, const Region& region,
                                      const DirectStore& store, bool spread, std::int64_t items,
                                      std::int64_t blocks);

}  // namespace ingot::cuda
