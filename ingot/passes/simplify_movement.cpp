// Identities of ops that move elements, and of reductions over nothing.
#include <algorithm>
#include <array>

#include "ingot/ir/body.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"
#include "ingot/ops/reduction.h"
#include "ingot/passes/simplify_rules.h"

namespace ingot {
namespace {

using Result = std::optional<Value>;

/// The op keeps its operand whole when it keeps its type: reshape, broadcast_to, slice, concat.
Result same_type(Node& node) {
  if (node.inputs().size() != 1 || node.input_type(0) != node.output_type()) return std::nullopt;
  return node.input(0);
}

/// reshape(reshape(x)), broadcast_to(broadcast_to(x)): the outer one alone.
Result outer_alone(Node& node) {
  const Node& inner = *node.input(0).node();
  if (&inner.op() != &node.op()) return std::nullopt;
  return node.graph().add(node.op(), {inner.input(0)}, attr_list(node), {}, {})->output();
}

Result transpose_identity(Node& node) {
  const auto& perm = node.integers("perm");
  for (std::size_t i = 0; i < perm.size(); ++i) {
    if (perm[i] != static_cast<std::int64_t>(i)) return std::nullopt;
  }
  return node.input(0);
}

Result transpose_of_transpose(Node& node) {
  const Node& inner = *node.input(0).node();
  if (&inner.op() != &node.op()) return std::nullopt;
  const auto& first = inner.integers("perm");
  std::vector<std::int64_t> perm;
  for (const std::int64_t axis : node.integers("perm")) {
    perm.push_back(first[static_cast<std::size_t>(axis)]);
  }
  return node.graph().add(node.op(), {inner.input(0)}, {{"perm", perm}}, {}, {})->output();
}

/// Moving axes of size 1 moves nothing.
Result transpose_as_reshape(Node& node) {
  std::int64_t last = -1;
  for (const std::int64_t axis : node.integers("perm")) {
    if (node.input_type(0).shape[static_cast<int>(axis)] == 1) continue;
    if (axis < last) return std::nullopt;
    last = axis;
  }
  return ops::reshape(node.input(0), node.output_type().shape, {});
}

Result pad_nothing(Node& node) {
  const auto is_zero = [](std::int64_t x) { return x == 0; };
  if (!std::ranges::all_of(node.integers("low"), is_zero) ||
      !std::ranges::all_of(node.integers("high"), is_zero)) {
    return std::nullopt;
  }
  return node.input(0);
}

/// Operands without elements add nothing.
Result concat_nonempty(Node& node) {
  std::vector<Value> inputs;
  for (const Value& input : node.inputs()) {
    if (input.type().numel() > 0) inputs.push_back(input);
  }
  if (inputs.empty() || inputs.size() == node.inputs().size()) return std::nullopt;
  return node.graph().add(node.op(), std::move(inputs), attr_list(node), {}, {})->output();
}

/// A sum or maximum of single elements.
Result reduce_nothing(Node& node) {
  if (reduction_length(node) != 1) return std::nullopt;
  return ops::reshape(node.input(0), node.output_type().shape, {});
}

}  // namespace

std::span<const SimplifyRule> movement_rules() {
  static constexpr std::array kRules{
      SimplifyRule{"same_reshape", "reshape", same_type},
      SimplifyRule{"reshape_of_reshape", "reshape", outer_alone},
      SimplifyRule{"same_broadcast", "broadcast_to", same_type},
      SimplifyRule{"broadcast_of_broadcast", "broadcast_to", outer_alone},
      SimplifyRule{"same_concat", "concat", same_type},
      SimplifyRule{"concat_nonempty", "concat", concat_nonempty},
      SimplifyRule{"same_slice", "slice", same_type},
      SimplifyRule{"pad_nothing", "pad", pad_nothing},
      SimplifyRule{"transpose_identity", "transpose", transpose_identity},
      SimplifyRule{"transpose_of_transpose", "transpose", transpose_of_transpose},
      SimplifyRule{"transpose_as_reshape", "transpose", transpose_as_reshape},
      SimplifyRule{"reduce_nothing", "sum", reduce_nothing},
      SimplifyRule{"reduce_nothing", "mean", reduce_nothing},
      SimplifyRule{"reduce_nothing", "reduce_max", reduce_nothing},
  };
  return kRules;
}

}  // namespace ingot
