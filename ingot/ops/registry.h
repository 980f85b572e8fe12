// All ops by name.
#pragma once

#include <span>
#include <string_view>

#include "ingot/ir/op_def.h"

namespace ingot {

/// Every registered op: core ops, all_ops.inc, then what register_op appended.
std::span<const OpDef* const> all_ops();

/// Null when there is none of that name.
const OpDef* find_op(std::string_view name);

/// Appends an op of the user's; its name is namespaced ("mylib.swish"). Call it before building
/// the first Graph that uses it, from one thread. Errors (user): a name without a namespace, a name
/// already taken, a record without `infer`.
void register_op(OpDef op);

}  // namespace ingot
