// The algebraic rules of `simplify`.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "ingot/ir/graph.h"

namespace ingot {

/// A Value equal to the Node's output 0, or nothing. The rule may add Nodes to the Node's Graph.
using SimplifyFn = std::optional<Value> (*)(Node& node);

struct SimplifyRule {
  std::string_view name;  ///< as statistics and tests call it
  /// The op it looks at; empty: every elementwise op.
  std::string_view op;
  SimplifyFn fn;
};

std::span<const SimplifyRule> elementwise_rules();
std::span<const SimplifyRule> movement_rules();

/// The one value that all elements of `value` have, seen through broadcasts and reshapes of a
/// constant.
std::optional<double> splat_of(Value value);

}  // namespace ingot
