// Batch rules followed through bodies: what depends on which item of a batch, and the same work for
// fewer items.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ingot/ir/op_def.h"

namespace ingot {

/// How each output of a Node relates to the batch; a Region's from its body.
std::vector<BatchResult> batch_of(const Node& node, std::span<const int> input_axes);

/// The same for every Node of a body, by id.
struct BatchFlow {
  std::vector<std::vector<int>> input_axes;
  std::vector<std::vector<BatchResult>> outputs;
};
/// `argument_axes`: the batch axis of each argument, -1 for none. What reads a reduced Value is
/// mixed.
BatchFlow follow_batch(const Graph& body, std::span<const int> argument_axes);

/// The body for a batch of `items`: Nodes in the same order with the same names and layouts. Every
/// Value must be kept, reduced or without batch (see follow_batch).
std::unique_ptr<Graph> rebatch(const Graph& body, std::span<const int> argument_axes,
                               std::int64_t items);

/// Whether the items along `axis` follow one another in memory: no other axis lies outside it.
bool is_outermost(const Shape& shape, const Layout& layout, int axis);

}  // namespace ingot
