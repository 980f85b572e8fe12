// Helpers that op records share.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ingot/ir/op_def.h"

namespace ingot {

/// NumPy's broadcast of the shapes, aligned at the last axis; nothing when they do not fit.
std::optional<Shape> broadcast_shapes(std::span<const TensorType> types);

/// Axes made non-negative, sorted, unique; empty input means all axes. Nothing when one is out of
/// range or given twice.
std::optional<std::vector<int>> normalize_axes(std::span<const std::int64_t> axes, int rank);

/// Row-major walk over `shape`: calls fn(flat index, coordinates).
template <typename Fn>
void for_each_index(const Shape& shape, Fn&& fn) {
  std::array<std::int64_t, Shape::kMaxRank> index{};
  const std::int64_t n = shape.numel();
  for (std::int64_t flat = 0; flat < n; ++flat) {
    fn(flat, index);
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      if (++index[static_cast<std::size_t>(axis)] < shape[axis]) break;
      index[static_cast<std::size_t>(axis)] = 0;
    }
  }
}

/// Flat index into an operand of shape `operand` for coordinates of the shape it broadcasts to.
std::int64_t broadcast_index(const Shape& operand, const Shape& full,
                             const std::array<std::int64_t, Shape::kMaxRank>& index);

/// to[j] = from[i]; integers exactly, else through double.
void copy_element(const HostView& from, std::int64_t i, const HostView& to, std::int64_t j);

/// Latches the error that element `index` of an operand, `value`, broke the constraint; the first
/// one stays.
void latch_error(const ReferenceContext& ctx, std::string_view constraint_id, std::int64_t value,
                 std::int64_t index);

/// Batch rule of elementwise ops: kept where some operand has the batch on the aligned axis.
std::vector<BatchResult> elementwise_batch(const Node& node, std::span<const int> input_axes);

/// The Node's attributes with entry `axis` of `shape_attr` replaced by `items`.
AttrList with_batch_dim(const Node& node, std::string_view shape_attr, int axis,
                        std::int64_t items);

/// Reads every input once and writes every output once, with `flops_per_element` of output 0.
Cost streaming_cost(const Node& node, double flops_per_element);

/// The attribute `math` of contractions, and the rule that its value is one there is.
AttrSpec math_attr();
Constraint math_constraint();
void check_math(const InferContext& ctx);
/// The case that breaks it, of the op on valid inputs and attributes.
BadCase math_bad_case(std::string_view op, std::vector<TensorType> inputs, AttrList attrs);

/// The dtype in which sums over elements of a floating-point dtype are taken: f64 for f64, else
/// f32.
DType accumulate_dtype(DType dtype);

}  // namespace ingot
