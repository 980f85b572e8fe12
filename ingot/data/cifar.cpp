#include "ingot/data/cifar.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/data/gzip.h"

namespace ingot::data {
namespace {

constexpr std::size_t kPixels = std::size_t{3} * 32 * 32;
constexpr std::size_t kRecord = 1 + kPixels;
constexpr int kTrainFiles = 5;
constexpr const char* kHelp =
    "CIFAR-10's binary version is data_batch_1.bin to data_batch_5.bin and test_batch.bin in one "
    "folder, each plain or with the suffix .gz";

std::optional<std::filesystem::path> find_file(const std::filesystem::path& folder,
                                               const std::string& name) {
  for (const char* suffix : {"", ".gz"}) {
    std::filesystem::path path = folder / (name + suffix);
    if (std::filesystem::exists(path)) return path;
  }
  return std::nullopt;
}

Dataset load_half(const std::filesystem::path& folder, std::span<const std::string> names,
                  Split split) {
  std::vector<std::byte> images;
  std::vector<std::int32_t> labels;
  for (const std::string& name : names) {
    const auto path = find_file(folder, name);
    if (!path && !labels.empty()) continue;
    if (!path) {
      throw user_error(ErrorCode::not_found,
                       fmt::format("cifar \"{}\": must hold {} or {}.gz, got neither",
                                   folder.string(), name, name))
          .help(kHelp);
    }
    parse_cifar(read_maybe_gzip(*path), path->string(), images, labels);
  }
  const auto count = static_cast<std::int64_t>(labels.size());
  Dataset dataset;
  dataset.name = "cifar10";
  dataset.split = split;
  dataset.images = HostTensor({DType::u8, {count, 3, 32, 32}});
  std::ranges::copy(images, dataset.images.bytes().begin());
  dataset.labels = HostTensor({DType::i32, {count}});
  std::ranges::copy(labels, dataset.labels.view().as<std::int32_t>().begin());
  dataset.class_count = 10;
  dataset.class_names = {"airplane", "automobile", "bird",  "cat",  "deer",
                         "dog",      "frog",       "horse", "ship", "truck"};
  check_dataset(dataset);
  return dataset;
}

}  // namespace

void parse_cifar(std::span<const std::byte> bytes, std::string_view name,
                 std::vector<std::byte>& images, std::vector<std::int32_t>& labels) {
  if (bytes.empty() || bytes.size() % kRecord != 0) {
    throw user_error(ErrorCode::invalid_data,
                     fmt::format("cifar \"{}\": must have a positive multiple of {} bytes, got {}",
                                 name, kRecord, bytes.size()));
  }
  for (std::size_t at = 0; at < bytes.size(); at += kRecord) {
    labels.push_back(std::to_integer<std::int32_t>(bytes[at]));
    const auto pixels = bytes.subspan(at + 1, kPixels);
    images.insert(images.end(), pixels.begin(), pixels.end());
  }
}

DatasetPair load_cifar10(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder)) {
    throw user_error(ErrorCode::not_found,
                     fmt::format("cifar \"{}\": must be a folder, got {}", folder.string(),
                                 std::filesystem::exists(folder) ? "a file" : "nothing there"))
        .help(kHelp);
  }
  std::vector<std::string> names;
  for (int k = 1; k <= kTrainFiles; ++k) names.push_back(fmt::format("data_batch_{}.bin", k));
  const std::vector<std::string> test{"test_batch.bin"};
  return {load_half(folder, names, Split::train), load_half(folder, test, Split::test)};
}

}  // namespace ingot::data
