// PNG images.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "ingot/base/host_view.h"

namespace ingot::data {

/// Decode to u8 [channels,H,W] with 1 (grey) or 3 (red, green, blue) channels, 8-bit sRGB; 0: as
/// the image has. Other colour types are converted; transparent pixels are laid over black. Error
/// (invalid_data)
/// `png "name": <rule>, got ...` for damaged images and those above `limit` bytes of pixels.
HostTensor decode_png(std::span<const std::byte> bytes, int channels, std::string_view name,
                      std::size_t limit = std::size_t{1} << 28);

/// The same from a file, which may be gzip-compressed.
HostTensor read_png(const std::filesystem::path& path, int channels);

/// Of the library that runs.
std::string png_library_version();

}  // namespace ingot::data
