// Identities of elementwise ops and casts.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "ingot/ir/body.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "ingot/passes/simplify_rules.h"

namespace ingot {
namespace {

using Result = std::optional<Value>;

/// `kept` where the op with that operand alone would have the Node's type.
Result keep(Node& node, Value kept) {
  if (kept.type() != node.output_type()) return std::nullopt;
  return kept;
}

bool is_splat(Value value, double x) {
  const auto splat = splat_of(value);
  return splat && *splat == x;
}

Result add_zero(Node& node) {
  if (is_splat(node.input(1), 0.0)) return keep(node, node.input(0));
  if (is_splat(node.input(0), 0.0)) return keep(node, node.input(1));
  return std::nullopt;
}

Result sub_zero(Node& node) {
  return is_splat(node.input(1), 0.0) ? keep(node, node.input(0)) : std::nullopt;
}

Result mul_one(Node& node) {
  if (is_splat(node.input(1), 1.0)) return keep(node, node.input(0));
  if (is_splat(node.input(0), 1.0)) return keep(node, node.input(1));
  return std::nullopt;
}

Result mul_minus_one(Node& node) {
  if (is_splat(node.input(1), -1.0) && keep(node, node.input(0))) {
    return ops::neg(node.input(0), {});
  }
  if (is_splat(node.input(0), -1.0) && keep(node, node.input(1))) {
    return ops::neg(node.input(1), {});
  }
  return std::nullopt;
}

Result div_one(Node& node) {
  return is_splat(node.input(1), 1.0) ? keep(node, node.input(0)) : std::nullopt;
}

/// Exact when the divisor is a power of two whose reciprocal is a normal number in every float
/// dtype.
Result div_power_of_two(Node& node) {
  const auto divisor = splat_of(node.input(1));
  if (!divisor || *divisor == 0.0 || !is_float(node.output_type().dtype)) return std::nullopt;
  int exponent = 0;
  if (std::abs(std::frexp(*divisor, &exponent)) != 0.5 || std::abs(exponent) > 12) {
    return std::nullopt;
  }
  Graph& graph = node.graph();
  return ops::mul(node.input(0), graph.scalar(1.0 / *divisor, node.output_type().dtype, {}), {});
}

Result pow_constant(Node& node) {
  const auto exponent = splat_of(node.input(1));
  const Value x = node.input(0);
  if (!exponent || !keep(node, x)) return std::nullopt;
  if (*exponent == 1.0) return x;
  if (*exponent == 2.0) return ops::mul(x, x, {});
  if (*exponent == 3.0) return ops::mul(ops::mul(x, x, {}), x, {});
  if (*exponent == -1.0) return ops::div(node.graph().scalar(1.0, x.dtype(), {}), x, {});
  return std::nullopt;
}

/// op(op(x)) == x: neg, logical_not.
Result involution(Node& node) {
  const Node& inner = *node.input(0).node();
  if (&inner.op() != &node.op()) return std::nullopt;
  return inner.input(0);
}

/// op(op(x)) == op(x): relu, abs, floor, ceil, round, sign.
Result idempotent(Node& node) {
  if (&node.input(0).node()->op() != &node.op()) return std::nullopt;
  return node.input(0);
}

Result select_constant(Node& node) {
  if (node.input(1) == node.input(2)) return keep(node, node.input(1));
  const auto condition = splat_of(node.input(0));
  if (!condition) return std::nullopt;
  return keep(node, node.input(*condition != 0.0 ? 1 : 2));
}

/// Whether every value of `from` survives a stay in `to`.
bool represents(DType to, DType from) {
  if (to == from) return true;
  switch (from) {
    case DType::f64: return false;
    case DType::f32: return to == DType::f64;
    case DType::f16:
    case DType::bf16: return to == DType::f64 || to == DType::f32;
    case DType::i64: return false;
    case DType::i32: return to == DType::i64 || to == DType::f64;
    case DType::i8: return to == DType::i64 || to == DType::i32 || is_float(to);
    case DType::u8: return to == DType::i64 || to == DType::i32 || is_float(to);
    case DType::boolean: return true;
  }
  return false;
}

Result cast_same(Node& node) { return keep(node, node.input(0)); }

Result cast_of_cast(Node& node) {
  const Node& inner = *node.input(0).node();
  if (&inner.op() != &node.op()) return std::nullopt;
  const Value x = inner.input(0);
  if (!represents(node.input(0).dtype(), x.dtype())) return std::nullopt;
  if (x.type() == node.output_type()) return x;
  return node.graph().add(node.op(), {x}, attr_list(node), {}, {})->output();
}

/// A constant of one value as a scalar.
Result as_scalar(Value value) {
  if (&value.node()->op() != &constant_op() || value.type().numel() < 2) return std::nullopt;
  if (!splat_of(value)) return std::nullopt;
  HostTensor scalar({value.dtype(), Shape{}});
  const auto bytes = value.node()->attr<TensorAttr>("value").tensor->bytes();
  std::copy_n(bytes.begin(), scalar.bytes().size(), scalar.bytes().begin());
  return value.graph().constant(std::move(scalar), {});
}

/// Elementwise ops broadcast by themselves, so operands need not be broadcast first; what comes out
/// smaller is broadcast afterwards.
Result sink_broadcasts(Node& node) {
  std::vector<Value> inputs(node.inputs().begin(), node.inputs().end());
  bool changed = false;
  for (Value& input : inputs) {
    if (&input.node()->op() == &broadcast_to_op()) {
      input = input.node()->input(0);
    } else if (const auto scalar = as_scalar(input)) {
      input = *scalar;
    } else {
      continue;
    }
    changed = true;
  }
  if (!changed) return std::nullopt;
  Graph& graph = node.graph();
  const Value small = graph.add(node.op(), std::move(inputs), attr_list(node), {}, {})->output();
  if (small.type() == node.output_type()) return small;
  return ops::broadcast_to(small, node.output_type().shape, {});
}

}  // namespace

std::optional<double> splat_of(Value value) {
  while (&value.node()->op() == &broadcast_to_op() || &value.node()->op() == &reshape_op()) {
    value = value.node()->input(0);
  }
  if (&value.node()->op() != &constant_op() || value.type().numel() == 0) return std::nullopt;
  const HostTensor& tensor = *value.node()->attr<TensorAttr>("value").tensor;
  const auto bytes = tensor.bytes();
  const std::size_t size = dtype_size(value.dtype());
  // All elements equal the first when each equals the one before.
  if (std::memcmp(bytes.data(), bytes.data() + size, bytes.size() - size) != 0) {
    return std::nullopt;
  }
  return tensor.view().get(0);
}

std::span<const SimplifyRule> elementwise_rules() {
  static constexpr std::array kRules{
      SimplifyRule{"add_zero", "add", add_zero},
      SimplifyRule{"sub_zero", "sub", sub_zero},
      SimplifyRule{"mul_one", "mul", mul_one},
      SimplifyRule{"mul_minus_one", "mul", mul_minus_one},
      SimplifyRule{"div_one", "div", div_one},
      SimplifyRule{"div_power_of_two", "div", div_power_of_two},
      SimplifyRule{"pow_constant", "pow", pow_constant},
      SimplifyRule{"double_neg", "neg", involution},
      SimplifyRule{"double_not", "logical_not", involution},
      SimplifyRule{"idempotent", "relu", idempotent},
      SimplifyRule{"idempotent", "abs", idempotent},
      SimplifyRule{"idempotent", "floor", idempotent},
      SimplifyRule{"idempotent", "ceil", idempotent},
      SimplifyRule{"idempotent", "round", idempotent},
      SimplifyRule{"idempotent", "sign", idempotent},
      SimplifyRule{"select_constant", "select", select_constant},
      SimplifyRule{"cast_same", "cast", cast_same},
      SimplifyRule{"cast_of_cast", "cast", cast_of_cast},
      SimplifyRule{"sink_broadcasts", "cast", sink_broadcasts},
      SimplifyRule{"sink_broadcasts", "", sink_broadcasts},
  };
  return kRules;
}

}  // namespace ingot
