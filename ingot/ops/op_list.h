// Declarations of every op's record, from all_ops.inc.
#pragma once

#include <span>

#include "ingot/ir/op_def.h"

namespace ingot {

#define INGOT_OP(name) const OpDef& name##_op();
#define INGOT_OP_FAMILY(name) std::span<const OpDef* const> name##_ops();
#include "ingot/ops/all_ops.inc"
#undef INGOT_OP
#undef INGOT_OP_FAMILY

}  // namespace ingot
