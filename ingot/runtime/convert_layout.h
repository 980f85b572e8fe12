// Conversion between logical row-major host data and a physical layout.
#pragma once

#include <cstddef>
#include <span>

#include "ingot/base/host_view.h"
#include "ingot/ir/layout.h"

namespace ingot {

/// Permutes packed row-major elements into `layout`; padding becomes zero. Bit-exact.
/// `physical` has layout.physical_bytes(logical.type) bytes.
void to_physical(const HostView& logical, const Layout& layout, std::byte* physical);
/// The inverse; padding is dropped.
void to_logical(const std::byte* physical, const Layout& layout, const HostView& logical);

}  // namespace ingot
