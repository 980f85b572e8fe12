// How passes and backends tell Nodes apart that their records describe by several fields.
#pragma once

#include <cstddef>

#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot {

/// One result element from one element of each operand, broadcast.
inline bool is_pointwise(const Node& node) {
  const OpDef& op = node.op();
  return op.traits.elementwise || &op == &broadcast_to_op() || &op == &cast_op();
}

/// A primitive reduction, or a composite of that form (mean) which the target kept whole.
inline bool is_reduction(const Node& node) {
  return node.op().traits.reduction || node.op().attr_index("keep_dims") >= 0;
}

/// a + b, and max(x, 0), broadcast; told by what their records say they compute.
bool is_addition(const Node& node);
bool is_relu(const Node& node);

/// A Region whose results are each a cast of an operand: tensors of any shapes, element by element
/// of their memory.
bool converts_operands(const Node& node);
/// Such a Region of several results.
bool is_conversions(const Node& node);
/// The operand that a result of such a Region converts.
std::size_t converted_operand(const Node& node, std::size_t result);

}  // namespace ingot
