#include "ingot/ops/node_kinds.h"

#include <algorithm>

#include "ingot/ir/core_ops.h"

namespace ingot {

bool is_conversions(const Node& node) {
  if (node.body() == nullptr || node.outputs().size() < 2) return false;
  return std::ranges::all_of(node.body()->fetches(), [](const Fetch& fetch) {
    const Node& cast = *fetch.value.node();
    return &cast.op() == &cast_op() && &cast.input(0).node()->op() == &argument_op();
  });
}

}  // namespace ingot
