// Layouts of bool that take one bit an element.
#pragma once

#include "ingot/ir/layout.h"

namespace ingot {

/// The axis of a layout's last block where elements are bits: eight of them, neighbours in memory,
/// share a byte, the first one being the lowest bit. Places still count elements. Written as
/// "acdb_bits".
inline constexpr int kBitAxis = -1;

[[nodiscard]] bool has_bits(const Layout& layout) noexcept;
/// The same places as bits, or as whole elements.
[[nodiscard]] Layout in_bits(const Layout& layout);
[[nodiscard]] Layout in_elements(const Layout& layout);

}  // namespace ingot
