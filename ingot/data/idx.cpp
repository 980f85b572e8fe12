#include "ingot/data/idx.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "ingot/base/error.h"
#include "ingot/data/gzip.h"

namespace ingot::data {
namespace {

constexpr std::int64_t kClasses = 10;
constexpr std::string_view kMnistHelp =
    "MNIST is the files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte "
    "and t10k-labels-idx1-ubyte in one folder, each plain or with the suffix .gz";

std::uint32_t load_big_endian(std::span<const std::byte> bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[offset + i]);
  }
  return value;
}

std::filesystem::path find_file(const std::filesystem::path& folder, const std::string& name) {
  for (const char* suffix : {"", ".gz"}) {
    std::filesystem::path path = folder / (name + suffix);
    if (std::filesystem::exists(path)) return path;
  }
  throw user_error(
      ErrorCode::not_found,
      fmt::format("mnist \"{}\": must hold {} or {}.gz, got neither", folder.string(), name, name))
      .help(kMnistHelp);
}

Dataset load_half(const std::filesystem::path& folder, Split split) {
  const std::string prefix = split == Split::train ? "train" : "t10k";
  const auto image_path = find_file(folder, prefix + "-images-idx3-ubyte");
  const auto label_path = find_file(folder, prefix + "-labels-idx1-ubyte");
  const HostTensor images = read_idx(image_path, 3);
  const HostTensor labels = read_idx(label_path, 1);
  const Shape& shape = images.type().shape;
  if (shape[0] != labels.type().numel()) {
    throw user_error(ErrorCode::invalid_data,
                     fmt::format("idx \"{}\": must have one label for each of the {} images of "
                                 "\"{}\", got {} labels",
                                 label_path.string(), shape[0], image_path.filename().string(),
                                 labels.type().numel()));
  }
  Dataset dataset;
  dataset.name = "mnist";
  dataset.split = split;
  dataset.images = HostTensor({DType::u8, {shape[0], 1, shape[1], shape[2]}});
  std::copy(images.bytes().begin(), images.bytes().end(), dataset.images.bytes().begin());
  dataset.labels = HostTensor({DType::i32, {shape[0]}});
  std::ranges::copy(labels.view().as<const std::uint8_t>(),
                    dataset.labels.view().as<std::int32_t>().begin());
  dataset.class_count = kClasses;
  dataset.class_names = numbered_class_names(kClasses);
  try {
    check_dataset(dataset);
  } catch (Error& error) {
    throw error.note(fmt::format("the labels are those of \"{}\"", label_path.string()));
  }
  return dataset;
}

}  // namespace

HostTensor parse_idx(std::span<const std::byte> bytes, int rank, std::string_view name) {
  const auto refuse = [&](const std::string& text) {
    return user_error(ErrorCode::invalid_data, fmt::format("idx \"{}\": {}", name, text));
  };
  const std::size_t header = 4 + 4 * static_cast<std::size_t>(rank);
  if (bytes.size() < header) {
    throw refuse(fmt::format("must have a header of {} bytes, got {} bytes", header, bytes.size()));
  }
  const std::uint32_t magic = 0x800u + static_cast<std::uint32_t>(rank);
  if (const std::uint32_t got = load_big_endian(bytes, 0); got != magic) {
    throw refuse(fmt::format("must begin with 0x{:08x} (u8, {} dimension{}), got 0x{:08x}", magic,
                             rank, rank == 1 ? "" : "s", got));
  }
  TensorType type{DType::u8, {}};
  for (int axis = 0; axis < rank; ++axis) {
    type.shape.push_back(load_big_endian(bytes, 4 + 4 * static_cast<std::size_t>(axis)));
  }
  if (std::ranges::count(type.shape, 0) > 0) {
    throw refuse("dimensions must be positive, got " + type.shape.to_string());
  }
  if (const std::size_t got = bytes.size() - header;
      static_cast<std::size_t>(type.bytes()) != got) {
    throw refuse(fmt::format("{} needs {} bytes after the header, got {}", type.to_string(),
                             type.bytes(), got));
  }
  HostTensor result(type);
  std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(header), bytes.end(),
            result.bytes().begin());
  return result;
}

HostTensor read_idx(const std::filesystem::path& path, int rank) {
  return parse_idx(read_maybe_gzip(path), rank, path.string());
}

DatasetPair load_mnist(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder)) {
    throw user_error(ErrorCode::not_found,
                     fmt::format("mnist \"{}\": must be a folder, got {}", folder.string(),
                                 std::filesystem::exists(folder) ? "a file" : "nothing there"))
        .help(kMnistHelp);
  }
  return {load_half(folder, Split::train), load_half(folder, Split::test)};
}

}  // namespace ingot::data
