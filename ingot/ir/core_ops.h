// Records of the ops that Graph itself builds: sources, assign and the fused Region.
#pragma once

#include "ingot/ir/op_def.h"

namespace ingot {

const OpDef& placeholder_op();
const OpDef& variable_op();
const OpDef& constant_op();
const OpDef& argument_op();
const OpDef& assign_op();
/// A Region made by the compiler: its body is run as one kernel.
const OpDef& fused_op();
/// A Region run slice by slice of a batch (passes/batch_slices.cpp). The body, its arguments and
/// results have the whole batch: evaluated at once it gives the same but for the order of sums.
const OpDef& batch_slices_op();
const OpDef& weight_copies_op();
/// The same logical value in another layout (attribute `layout`, a tag).
const OpDef& reorder_op();

/// All of the above, for the registry.
std::span<const OpDef* const> core_ops();

Initializer initializer_of(const Node& variable);
VariableRole role_of(const Node& variable);

}  // namespace ingot
