// Which Nodes of a Graph treat the items of its batch apart, by the records' batch rules.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ingot/ir/op_def.h"

namespace ingot {

/// What a Node does with the batch.
struct NodeBatch {
  /// Every output is kept or a sum over the batch, and slices are contiguous in memory.
  bool separable = false;
  std::vector<int> input_axes;
  std::vector<BatchResult> outputs;
  std::string reason;  ///< why a Node that reads the batch is not separable
};

struct GraphBatch {
  std::int64_t items = 0;        ///< 0: the Graph has no batch
  std::vector<NodeBatch> nodes;  ///< by id
};

/// The batch is the leading axis of the placeholders; when they differ, of those with most bytes.
/// From there the rules are followed forwards. What does not come from a placeholder (weights,
/// constants, random masks) may be read whole or along its outermost axis, as the rule wants it:
/// any choice that a rule allows is right.
GraphBatch find_batch(const Graph& graph);

}  // namespace ingot
