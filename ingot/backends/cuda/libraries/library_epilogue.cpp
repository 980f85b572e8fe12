#include "ingot/backends/cuda/libraries/library_epilogue.h"

#include <algorithm>
#include <vector>

#include "ingot/backends/cuda/contractions/contract_problem.h"
#include "ingot/backends/cuda/kernels/element.h"
#include "ingot/backends/cuda/kernels/strides.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"

namespace ingot::cuda {
namespace {

/// The Value of which this is a conversion, or the same numbers repeated.
Value source_of(Value value, bool repeated) {
  while (&value.node()->op() == &cast_op() ||
         (repeated && &value.node()->op() == &broadcast_to_op())) {
    value = value.node()->input(0);
  }
  return value;
}

/// Whether a Value of that shape has one number for each place along `axis` of `shape`, packed.
bool lies_along(const Value& value, const Shape& shape, int axis) {
  const int lead = shape.rank() - value.shape().rank();
  if (lead < 0 || axis < lead || value.shape()[axis - lead] != shape[axis]) return false;
  if (value.type().numel() != shape[axis] || !is_float(value.dtype())) return false;
  const auto strides = strides_of(value);
  return strides && strides->step[static_cast<std::size_t>(axis - lead)] == 1;
}

}  // namespace

std::optional<LibraryEpilogue> library_epilogue(const Node& node, const Node& producer, int axis) {
  LibraryEpilogue epilogue;
  if (node.body() == nullptr) return epilogue;
  if (node.outputs().size() != 1) return std::nullopt;
  const Shape& shape = producer.output_type().shape;
  // From the result back: nothing may stand between but what has been seen.
  Value value = source_of(node.body()->fetches().front().value, false);
  if (is_relu(*value.node())) {
    epilogue.relu = true;
    value = source_of(value.node()->input(0), false);
  }
  if (is_addition(*value.node())) {
    for (const int side : {0, 1}) {
      const Value bias = source_of(value.node()->input(side), true);
      if (&bias.node()->op() != &argument_op() || !lies_along(bias, shape, axis)) continue;
      epilogue.bias = static_cast<int>(bias.node()->integer("index"));
      value = source_of(value.node()->input(1 - side), false);
      break;
    }
  }
  if (value.node() != &producer) return std::nullopt;
  return epilogue;
}

bool joins_library(std::span<const Node* const> region, const Node& producer, const Node& consumer,
                   int axis) {
  const auto is_inside = [&](const Value& value) {
    return std::ranges::find(region, value.node()) != region.end();
  };
  if (std::ranges::any_of(region, [](const Node* node) { return is_relu(*node); })) {
    return false;
  }
  if (is_relu(consumer)) return is_inside(consumer.input(0));
  if (!is_addition(consumer) || region.size() > 1) return false;
  return std::ranges::any_of(consumer.inputs(), [&](const Value& input) {
    return !is_inside(input) &&
           lies_along(source_of(input, true), producer.output_type().shape, axis);
  });
}

const Node* contraction_of(const Node& node) {
  const Region region = region_of(node, std::vector<int>(node.inputs().size()));
  return region.producer != nullptr && is_contraction(*region.producer) ? region.producer : nullptr;
}

int operand_of(const Node& node, const Node& producer, int operand) {
  if (&producer == &node) return operand;
  const Node& source = *producer.input(operand).node();
  return &source.op() == &argument_op() ? static_cast<int>(source.integer("index")) : -1;
}

}  // namespace ingot::cuda
