#include "ingot/data/image_folder.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/base/thread_pool.h"
#include "ingot/data/jpeg.h"
#include "ingot/data/png.h"

namespace ingot::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHelp = "images lie in train/CLASS/ and test/CLASS/ as .jpg, .jpeg or .png";

enum class Format : std::uint8_t { jpeg, png };

struct File {
  fs::path path;
  Format format = Format::jpeg;
  std::int32_t label = 0;
};

std::optional<Format> format_of(const fs::path& path) {
  std::string suffix = path.extension().string();
  std::ranges::transform(suffix, suffix.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (suffix == ".jpg" || suffix == ".jpeg") return Format::jpeg;
  if (suffix == ".png") return Format::png;
  return std::nullopt;
}

std::vector<std::byte> read_file(const fs::path& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::vector<std::byte> bytes;
  if (file) {
    bytes.resize(static_cast<std::size_t>(std::max<std::streamoff>(file.tellg(), 0)));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  if (!file) throw file_error(path.string(), "readable", errno != 0 ? errno : EIO);
  return bytes;
}

HostTensor decode(const File& file) {
  const std::vector<std::byte> bytes = read_file(file.path);
  return file.format == Format::jpeg ? decode_jpeg(bytes, file.path.string())
                                     : decode_png(bytes, 0, file.path.string());
}

class Folder {
 public:
  explicit Folder(const fs::path& path) : path_(path), pool_(default_thread_count()) {}

  DatasetPair load() {
    const std::vector<fs::path> train = class_folders(Split::train);
    for (const fs::path& each : train) names_.push_back(each.filename().string());
    if (names_.size() < 2) {
      throw refuse(fmt::format("train/ must hold at least two classes, got {}", names_.size()));
    }
    const std::vector<fs::path> test = class_folders(Split::test);
    for (const fs::path& each : test) {
      if (!std::ranges::binary_search(names_, each.filename().string())) {
        throw refuse(fmt::format("test/ must hold classes of train/ alone, got \"{}\"",
                                 each.filename().string()));
      }
    }
    Dataset first = half(train, Split::train);
    return {std::move(first), half(test, Split::test)};
  }

 private:
  [[nodiscard]] Error refuse(const std::string& text) const {
    return user_error(ErrorCode::invalid_data,
                      fmt::format("folder \"{}\": {}", path_.string(), text))
        .help(kHelp);
  }

  /// In the order of their names.
  [[nodiscard]] std::vector<fs::path> class_folders(Split split) const {
    const fs::path half = path_ / split_name(split);
    if (!fs::is_directory(half)) {
      throw user_error(ErrorCode::not_found,
                       fmt::format("folder \"{}\": must hold the folders train and test, got no {}",
                                   path_.string(), split_name(split)))
          .help(kHelp);
    }
    std::vector<fs::path> folders;
    for (const fs::directory_entry& entry : fs::directory_iterator(half)) {
      if (entry.is_directory()) folders.push_back(entry.path());
    }
    std::ranges::sort(folders);
    return folders;
  }

  [[nodiscard]] std::vector<File> files_of(const std::vector<fs::path>& classes) const {
    std::vector<File> files;
    for (const fs::path& folder : classes) {
      const auto at = std::ranges::lower_bound(names_, folder.filename().string());
      const std::size_t before = files.size();
      for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        const auto format = format_of(entry.path());
        if (!format || !entry.is_regular_file()) continue;
        files.push_back({entry.path(), *format, static_cast<std::int32_t>(at - names_.begin())});
      }
      if (files.size() == before) {
        throw refuse(fmt::format("class \"{}\" of {}/ must hold images, got none",
                                 folder.filename().string(),
                                 folder.parent_path().filename().string()));
      }
      std::sort(files.begin() + static_cast<std::ptrdiff_t>(before), files.end(),
                [](const File& a, const File& b) { return a.path < b.path; });
    }
    return files;
  }

  Dataset half(const std::vector<fs::path>& classes, Split split) {
    const std::vector<File> files = files_of(classes);
    if (files.empty())
      throw refuse(fmt::format("{}/ must hold images, got none", split_name(split)));
    std::vector<HostTensor> images = decode_all(files);
    const auto count = static_cast<std::int64_t>(files.size());
    Dataset dataset;
    dataset.name = path_.filename().empty() ? "folder" : path_.filename().string();
    dataset.split = split;
    const Shape shape = common_shape(files, images);
    dataset.images = HostTensor({DType::u8, {count, shape[0], shape[1], shape[2]}});
    auto out = dataset.images.bytes().begin();
    for (HostTensor& image : images) {
      // Grey among colour.
      for (std::int64_t k = image.type().shape[0]; k <= shape[0]; k += image.type().shape[0]) {
        out = std::ranges::copy(image.bytes(), out).out;
      }
      image = {};
    }
    dataset.labels = HostTensor({DType::i32, {count}});
    std::ranges::transform(files, dataset.labels.view().as<std::int32_t>().begin(), &File::label);
    dataset.class_count = static_cast<std::int64_t>(names_.size());
    dataset.class_names = names_;
    check_dataset(dataset);
    return dataset;
  }

  std::vector<HostTensor> decode_all(const std::vector<File>& files) {
    std::vector<HostTensor> images(files.size());
    std::mutex mutex;
    std::optional<Error> first;
    std::int64_t first_at = 0;
    pool_.parallel_for(static_cast<std::int64_t>(files.size()), [&](std::int64_t i, int) {
      const auto at = static_cast<std::size_t>(i);
      try {
        images[at] = decode(files[at]);
      } catch (const Error& error) {
        const std::lock_guard lock(mutex);
        if (first && first_at < i) return;
        first = error;
        first_at = i;
      }
    });
    if (first) throw *first;
    return images;
  }

  /// That of every image of the folder, with three channels where one has them.
  [[nodiscard]] Shape common_shape(const std::vector<File>& files,
                                   const std::vector<HostTensor>& images) {
    std::int64_t channels = 1;
    for (std::size_t i = 0; i < images.size(); ++i) {
      const Shape& shape = images[i].type().shape;
      channels = std::max(channels, shape[0]);
      if (!size_) size_ = shape;
      if (shape[1] == (*size_)[1] && shape[2] == (*size_)[2]) continue;
      throw refuse(fmt::format(
          "images must be of one size, {}x{} as the first, got {}x{} in \"{}\"", (*size_)[1],
          (*size_)[2], shape[1], shape[2], fs::relative(files[i].path, path_).string()));
    }
    // The test images have as many as the training images.
    if (channels_ != 0 && channels > channels_) {
      throw refuse("images of test/ must be grey as those of train/, got one of colour");
    }
    channels_ = std::max(channels_, channels);
    return {channels_, (*size_)[1], (*size_)[2]};
  }

  fs::path path_;
  ThreadPool pool_;
  std::vector<std::string> names_;  ///< of the classes, sorted
  std::optional<Shape> size_;       ///< of the first image
  std::int64_t channels_ = 0;
};

}  // namespace

DatasetPair load_image_folder(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    throw user_error(ErrorCode::not_found,
                     fmt::format("folder \"{}\": must be a folder, got {}", folder.string(),
                                 fs::exists(folder) ? "a file" : "nothing there"))
        .help(kHelp);
  }
  try {
    return Folder(folder).load();
  } catch (const fs::filesystem_error& error) {
    throw file_error(error.path1().string(), "readable", error.code().value());
  }
}

}  // namespace ingot::data
