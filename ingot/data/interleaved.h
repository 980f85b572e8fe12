// Pixels as image libraries give them.
#pragma once

#include <cstdint>
#include <span>

#include "ingot/base/host_view.h"

namespace ingot::data {

/// u8 [channels,H,W] from rows of pixels whose channels lie side by side; `pixels` has exactly as
/// many.
HostTensor planes_of(std::span<const std::uint8_t> pixels, std::int64_t channels,
                     std::int64_t height, std::int64_t width);

}  // namespace ingot::data
