// Which layouts the CPU's kernels want and take.
#pragma once

#include "ingot/ir/target.h"

namespace ingot {

/// The layouts that a convolution, matmul or one of their gradients runs fastest in; `vector_block`
/// is the number of channels in a block. Agnostic for every other op.
LayoutWish conv_layout_wish(const Node& node, int vector_block);

/// Pooling and its gradients take plain and channel-blocked images.
bool is_pool(const Node& node);
bool pool_accepts(const Node& node, const Layout& layout);

/// Whether the Node's kernels work on whatever layout its full-shaped operands and results share.
bool is_layout_agnostic(const Node& node);
/// Whether they work on this one.
bool takes_layout(const Node& node, const Layout& layout);

}  // namespace ingot
