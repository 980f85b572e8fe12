#include "ingot/backends/cpu/cpu_layouts.h"

namespace ingot {

LayoutWish conv_layout_wish(const Node& node, int vector_block) {
  (void)node;
  (void)vector_block;
  return {};
}

}  // namespace ingot
