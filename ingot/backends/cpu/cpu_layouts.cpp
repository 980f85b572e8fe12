#include "ingot/backends/cpu/cpu_layouts.h"

#include <fmt/core.h>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/fusion_rules.h"
#include "ingot/backends/cpu/operand_walk.h"
#include "ingot/ops/op_list.h"

namespace ingot {

Support require_plain(const Node& node, const Backend&) {
  for (const Value& input : node.inputs()) {
    if (input.layout().is_plain()) continue;
    return Support::no(fmt::format("takes plain layouts alone, got {}",
                                   input.layout().to_string(input.shape().rank())));
  }
  for (const Node::Output& output : node.outputs()) {
    if (output.layout.is_plain()) continue;
    return Support::no(fmt::format("makes plain layouts alone, got {}",
                                   output.layout.to_string(output.type.shape.rank())));
  }
  return Support::yes();
}

Support require_unpadded(const Shape& shape, const Layout& layout) {
  if (!is_padded(shape, layout)) return Support::yes();
  return Support::no(fmt::format("takes no padded layouts, got {} for {}",
                                 layout.to_string(shape.rank()), shape.to_string()));
}

bool is_layout_agnostic(const Node& node) {
  return is_fused_node(node) || is_pool(node) || &node.op() == &optimizer_update_op() ||
         node.op().traits.any_layouts;
}

bool takes_layout(const Node& node, const Layout& layout) {
  if (layout.is_plain()) return true;
  if (node.op().traits.any_layouts) return true;
  if (is_pool(node)) return pool_accepts(node, layout);
  return is_layout_agnostic(node) && fused_accepts(node, layout);
}

}  // namespace ingot
