// What the reductions share: attributes, inference, walking, gradients' shapes.
#pragma once

#include <utility>
#include <vector>

#include "ingot/ops/common.h"

namespace ingot {

/// Fills in what every reduction has alike and the record leaves out: operands, attributes `axes`
/// and `keep_dims`, constraints C1 and C2 (more may follow), inference (result dtype = operand's),
/// batch rule of a sum, cost, cases.
OpDef reduction_record(OpDef op);
/// The shared inference, for records that check more.
std::vector<TensorType> infer_reduction(const InferContext& ctx);
/// Where the batch goes when it is not reduced, else `if_reduced`.
std::vector<BatchResult> reduction_batch(const Node& node, int batch_axis, BatchKind if_reduced);

/// The reduced axes of a reduction Node, sorted.
std::vector<int> reduced_axes(const Node& node);
/// Elements that go into one result.
std::int64_t reduction_length(const Node& node);

/// Calls fn(flat index of the operand, flat index of the result) in row-major order.
template <typename Fn>
void for_each_reduced(const Node& node, Fn&& fn) {
  const Shape& shape = node.input_type(0).shape;
  Shape kept = shape;
  for (const int axis : reduced_axes(node)) kept[axis] = 1;
  for_each_index(shape, [&](std::int64_t flat, const auto& index) {
    fn(flat, broadcast_index(kept, shape, index));
  });
}

/// A value of the result's shape, broadcast back to the operand's shape.
Value expand_reduced(const Node& node, Value value);

namespace ops {
Value add_reduction(const OpDef& op, Value x, std::vector<std::int64_t> axes, bool keep_dims,
                    SourceLocation loc);
}  // namespace ops
}  // namespace ingot
