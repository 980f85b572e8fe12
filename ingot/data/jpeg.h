// JPEG images.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "ingot/base/host_view.h"

namespace ingot::data {

/// Decode to u8 [channels,H,W] with as many channels as the image has, 1 (grey) or 3 (red, green,
/// blue), as stored: a camera's note on orientation is passed over. Errors: `jpeg "name": <rule>,
/// got ...`, invalid_data for damaged or truncated images, those of other colours and those above
/// `limit` bytes of pixels; unsupported in a build without libjpeg.
HostTensor decode_jpeg(std::span<const std::byte> bytes, std::string_view name,
                       std::size_t limit = std::size_t{1} << 28);

/// Of the library that Ingot was built with; "missing" and a remedy without one.
std::string jpeg_library_version();

}  // namespace ingot::data
