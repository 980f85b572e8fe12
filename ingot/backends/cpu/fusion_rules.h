// Which Nodes the fused kernels take together.
#pragma once

#include <span>

#include "ingot/ir/target.h"

namespace ingot {

/// Whether `consumer` may join the Nodes of a fused Region.
Support can_join_region(std::span<const Node* const> region, const Node& consumer);
namespace cpu {
/// Whether a Node is the gradient of a loss over rows of logits.
bool is_loss_gradient(const Node& node);
/// Whether a loss over rows of logits and its gradient can be made in one pass over each row.
Support can_join_loss(const Node& loss, const Node& gradient);
/// Whether a fused Region is such a pair.
bool is_loss_pair(const Node& region);
}  // namespace cpu

/// Whether the fused kernels work on a Node, a fused Region or one that could be in one, whose
/// tensors of the whole shape have the layout.
bool fused_accepts(const Node& node, const Layout& layout);
/// Whether they could run the Node at all.
bool is_fused_node(const Node& node);

}  // namespace ingot
