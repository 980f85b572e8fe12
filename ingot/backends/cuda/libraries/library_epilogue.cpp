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

/// Whether the Value has the result's type: it may be added to it, element by element.
bool is_like(const Value& value, const Node& producer) {
  return value.type() == producer.output_type();
}

bool reads(const Node& node, const Value& value) {
  return std::ranges::find(node.inputs(), value) != node.inputs().end();
}

/// Which of the Region's operands a Value in its body is; -1: it is made inside.
int argument_of(const Value& value) {
  if (&value.node()->op() != &argument_op()) return -1;
  return static_cast<int>(value.node()->integer("index"));
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
  const auto take = [&](const Value& bias, const Value& addend) {
    if (epilogue.bias < 0 && argument_of(bias) >= 0 && lies_along(bias, shape, axis)) {
      epilogue.bias = argument_of(bias);
    } else if (epilogue.addend < 0 && argument_of(addend) >= 0 && is_like(addend, producer)) {
      epilogue.addend = argument_of(addend);
    } else {
      return false;
    }
    return true;
  };
  while (is_addition(*value.node())) {
    const Node& sum = *value.node();
    int side = 0;
    while (side < 2 && !take(source_of(sum.input(side), true), source_of(sum.input(side), false))) {
      ++side;
    }
    if (side == 2) return std::nullopt;
    value = source_of(sum.input(1 - side), false);
  }
  if (value.node() != &producer) return std::nullopt;
  return epilogue;
}

LibraryJoin joins_library(std::span<const Node* const> region, const Node& producer,
                          const Node& consumer, int axis) {
  const auto is_inside = [&](const Value& value) {
    return std::ranges::find(region, value.node()) != region.end();
  };
  const auto does = [&](const Node& node) {
    if (is_relu(node) && is_inside(node.input(0))) return LibraryJoin::relu;
    if (!is_addition(node)) return LibraryJoin::none;
    for (const int side : {0, 1}) {
      const Value other = node.input(1 - side);
      if (!is_inside(node.input(side)) || is_inside(other)) continue;
      if (lies_along(source_of(other, true), producer.output_type().shape, axis)) {
        return LibraryJoin::bias;
      }
      if (is_like(other, producer)) return LibraryJoin::addend;
    }
    return LibraryJoin::none;
  };
  // Each of them once, in a chain that ends with the ReLU.
  const LibraryJoin joins = does(consumer);
  for (const Node* const node : region) {
    if (node == &producer) continue;
    const LibraryJoin before = does(*node);
    if (before == LibraryJoin::none || before == LibraryJoin::relu || before == joins) {
      return LibraryJoin::none;
    }
    for (const Value& input : node->inputs()) {
      if (is_inside(input) && reads(consumer, input)) return LibraryJoin::none;
    }
  }
  return joins;
}

const Node* contraction_of(const Node& node) {
  const Region region = region_of(node, std::vector<int>(node.inputs().size()));
  return region.producer != nullptr && is_contraction(*region.producer) ? region.producer : nullptr;
}

int operand_of(const Node& node, const Node& producer, int operand) {
  if (&producer == &node) return operand;
  return argument_of(producer.input(operand));
}

}  // namespace ingot::cuda
