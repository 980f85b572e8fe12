#include "ingot/data/digits.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "ingot/base/error.h"
#include "ingot/data/png.h"

namespace ingot::data {
namespace {

constexpr std::int64_t kSide = 20;
constexpr std::int64_t kColumns = 100;
constexpr std::int64_t kRows = 50;
constexpr std::int64_t kClasses = 10;

// The XDG base directory rule.
std::filesystem::path cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/') {
    return std::filesystem::path(cache) / "ingot";
  }
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') return {};
  return std::filesystem::path(home) / ".cache" / "ingot";
}

}  // namespace

std::vector<std::filesystem::path> usual_digits_files() {
  std::vector<std::filesystem::path> files;
  if (const auto cache = cache_folder(); !cache.empty()) files.push_back(cache / "digits.png");
  const std::filesystem::path package = "/usr/share/doc/opencv-doc/examples/data";
  files.push_back(package / "digits.png");
  files.push_back(package / "digits.png.gz");
  return files;
}

std::filesystem::path find_digits(std::span<const std::filesystem::path> candidates) {
  std::string tried;
  for (const auto& candidate : candidates) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(candidate, ignored)) return candidate;
    tried += fmt::format("{}\"{}\"", tried.empty() ? "" : ", ", candidate.string());
  }
  throw user_error(ErrorCode::not_found,
                   fmt::format("digits: digits.png must be one of {}, got none of them", tried))
      .help(
          "scripts/fetch_digits.sh takes it from Debian's package opencv-doc; or name a file: "
          "digits:FILE");
}

Dataset read_digits(const std::filesystem::path& file) {
  const HostTensor sprite = read_png(file, 1);
  const Shape& shape = sprite.type().shape;
  if (shape[1] != kRows * kSide || shape[2] != kColumns * kSide) {
    throw user_error(
        ErrorCode::invalid_data,
        fmt::format("digits \"{}\": must be {} x {} pixels, got {} x {}", file.string(),
                    kColumns * kSide, kRows * kSide, shape[2], shape[1]));
  }
  Dataset dataset;
  dataset.name = "digits";
  dataset.images = HostTensor({DType::u8, {kRows * kColumns, 1, kSide, kSide}});
  dataset.labels = HostTensor({DType::i32, {kRows * kColumns}});
  dataset.class_count = kClasses;
  dataset.class_names = numbered_class_names(kClasses);
  const auto pixels = sprite.view().as<const std::uint8_t>();
  auto out = dataset.images.view().as<std::uint8_t>().begin();
  const auto labels = dataset.labels.view().as<std::int32_t>();
  for (std::int64_t cell = 0; cell < kRows * kColumns; ++cell) {
    const std::int64_t row = cell / kColumns;
    const std::int64_t column = cell % kColumns;
    for (std::int64_t y = 0; y < kSide; ++y) {
      const std::int64_t begin = (row * kSide + y) * kColumns * kSide + column * kSide;
      out = std::copy_n(pixels.begin() + begin, kSide, out);
    }
    labels[static_cast<std::size_t>(cell)] = static_cast<std::int32_t>(row * kClasses / kRows);
  }
  return dataset;
}

DatasetPair load_digits(const std::filesystem::path& file, std::uint64_t seed) {
  return stratified_split(read_digits(file), kDigitsTestCount, seed);
}

}  // namespace ingot::data
