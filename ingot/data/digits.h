// The 5,000 handwritten digits of OpenCV's sample image digits.png.
//
// One 2000 x 1000 grey image of 100 columns by 50 rows of 20 x 20 cells, five rows for each digit.
// Debian and Ubuntu carry it in the package opencv-doc.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "ingot/data/dataset.h"

namespace ingot::data {

inline constexpr std::int64_t kDigitsTestCount = 1000;

/// Where digits.png is looked for, in this order: the user's cache (where scripts/fetch_digits.sh
/// puts it) and the folder of the package opencv-doc, there also with the suffix .gz.
std::vector<std::filesystem::path> usual_digits_files();

/// The first that exists; Error (not_found) listing all, with how to get the file.
std::filesystem::path find_digits(std::span<const std::filesystem::path> candidates);

/// All 5,000 digits, u8 [5000,1,20,20], row by row: the first 500 are zeros. Error (invalid_data)
/// for an image of another size.
Dataset read_digits(const std::filesystem::path& file);

/// 4,000 training and 1,000 test digits, 400 and 100 of each class, chosen by the seed.
DatasetPair load_digits(const std::filesystem::path& file, std::uint64_t seed);

}  // namespace ingot::data
