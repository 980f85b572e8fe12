// The binary files of CIFAR-10.
//
// Records of one label byte and 3 x 32 x 32 pixels, channel by channel, row by row.
// https://www.cs.toronto.edu/~kriz/cifar.html
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "ingot/data/dataset.h"

namespace ingot::data {

/// Appends the records of one file. Error (invalid_data) `cifar "name": <rule>, got ...` for a
/// number of bytes that is no positive multiple of a record's.
void parse_cifar(std::span<const std::byte> bytes, std::string_view name,
                 std::vector<std::byte>& images, std::vector<std::int32_t>& labels);

/// CIFAR-10 from a folder with data_batch_1.bin ... data_batch_5.bin and test_batch.bin, each plain
/// or with the suffix .gz: u8 [N,3,32,32], 10 classes. Training batches from the second on may be
/// missing.
DatasetPair load_cifar10(const std::filesystem::path& folder);

}  // namespace ingot::data
