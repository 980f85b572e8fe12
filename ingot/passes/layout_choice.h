// Which layout each Value gets.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ingot/passes/pass.h"

namespace ingot {

/// For every Node: the layouts in which it reads its operands and leaves its results.
struct NodeLayouts {
  std::vector<Layout> inputs;
  std::vector<Layout> outputs;
};

/// Layouts that need the fewest bytes of reorders: Nodes with a wish get it, placeholders,
/// constants and fetches are plain, variables have their fixed layout; everything between them
/// (agnostic Nodes, free variables and what is assigned to them) shares one layout as far as it is
/// linked, chosen by what its neighbours wish. Indexed by Node id.
std::vector<NodeLayouts> choose_layouts(const Graph& graph, const PassContext& context);

}  // namespace ingot
