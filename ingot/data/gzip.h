// Reading files that may be gzip-compressed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace ingot::data {

/// The content of a file, decompressed when it begins with gzip's magic bytes. Errors: those of
/// file_error; (invalid_data) `gzip "p": must be undamaged, got ...`; and
/// `file "p": must have at most N bytes, got more` past `limit` decompressed bytes.
std::vector<std::byte> read_maybe_gzip(const std::filesystem::path& path,
                                       std::size_t limit = std::size_t{1} << 32);

/// Of the library that runs.
std::string zlib_library_version();

}  // namespace ingot::data
