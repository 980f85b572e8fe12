// Which layouts the kernels of steps bound by throughput want and take.
#pragma once

#include "ingot/ir/target.h"

namespace ingot::cuda {

/// Activations with channels innermost, weights likewise, both padded to whole 16 bytes where a
/// convolution reads channels that are not; what stands between convolutions goes along.
LayoutWish layout_wish(const Node& node);
/// Whether a Node that goes along has a kernel for the layout of its largest Values.
bool takes_layout(const Node& node, const Layout& layout);

}  // namespace ingot::cuda
