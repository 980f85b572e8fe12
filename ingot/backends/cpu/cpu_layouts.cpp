#include "ingot/backends/cpu/cpu_layouts.h"

#include "ingot/ir/op_def.h"

namespace ingot {

bool is_layout_agnostic(const Node& node) { return node.op().traits.elementwise; }

}  // namespace ingot
