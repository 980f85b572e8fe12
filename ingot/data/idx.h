// The IDX files of MNIST and its relatives.
//
// Big-endian u32 magic 0x0000TTRR (TT element type, 08 for u8; RR number of dimensions), one u32
// per dimension, then the elements. http://yann.lecun.com/exdb/mnist/
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

#include "ingot/base/host_view.h"
#include "ingot/data/dataset.h"

namespace ingot::data {

/// A u8 tensor of the given rank. Error (invalid_data) `idx "name": <rule>, got ...` for another
/// magic, a dimension of 0, or any number of bytes but the needed one.
HostTensor parse_idx(std::span<const std::byte> bytes, int rank, std::string_view name);

/// The same from a file, plain or gzip-compressed.
HostTensor read_idx(const std::filesystem::path& path, int rank);

/// MNIST (or Fashion-MNIST, which has the same four files) from a folder: u8 [N,1,H,W], 10 classes.
/// Each file may be plain or have the suffix .gz. Errors name the file and the four names.
DatasetPair load_mnist(const std::filesystem::path& folder);

}  // namespace ingot::data
