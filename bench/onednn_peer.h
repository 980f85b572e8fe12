// oneDNN called directly, as a peer: its own choice of kernel and of all layouts, one thread.
#pragma once

#include <optional>

#include "ingot/ir/graph.h"

namespace ingot {

/// Seconds that oneDNN takes for a conv2d Node or one of its gradients, on the whole batch at once
/// and without reorders; nothing where it fails or is not there.
std::optional<double> onednn_conv_seconds(const Node& node);

}  // namespace ingot
