// The windows of pools as constants of generated text.
#pragma once

#include <string>

#include "ingot/ops/pool2d.h"

namespace ingot::cuda {

/// Whether the Node is a pool or the gradient of one.
inline bool is_window(const Node& node) {
  return node.body() == nullptr && node.op().attr_index("kernel") >= 0;
}
/// Constants of the window: KH, KW, SH, SW, PT, PL, DH, DW and the sizes H, W, OH, OW.
void write_window(std::string& code, const Pool2dShape& s);

}  // namespace ingot::cuda
