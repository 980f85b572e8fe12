#include "ingot/backends/cpu/cpu_layouts.h"

#include "ingot/backends/cpu/fusion_rules.h"
#include "ingot/ops/op_list.h"

namespace ingot {

bool is_layout_agnostic(const Node& node) {
  return is_fused_node(node) || &node.op() == &optimizer_update_op();
}

bool takes_layout(const Node& node, const Layout& layout) {
  if (layout.is_plain()) return true;
  return is_layout_agnostic(node) && fused_accepts(node, layout);
}

}  // namespace ingot
