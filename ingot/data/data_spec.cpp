#include "ingot/data/data_spec.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/data/cifar.h"
#include "ingot/data/digits.h"
#include "ingot/data/idx.h"
#include "ingot/data/image_folder.h"
#include "ingot/data/synthetic.h"

namespace ingot::data {
namespace {

// In the order of DataSpec::Kind.
constexpr std::array<DataKind, 5> kKinds = {{
    {"digits", "digits[:FILE]", "OpenCV's 5,000 handwritten digits, 1x20x20"},
    {"mnist", "mnist:DIR", "MNIST or Fashion-MNIST from IDX files, plain or .gz"},
    {"cifar", "cifar:DIR", "CIFAR-10 from its binary files, plain or .gz"},
    {"folder", "folder:DIR",
     "JPEG or PNG images of one size in DIR/train/CLASS and DIR/test/CLASS"},
    {"synthetic", "synthetic:SHAPE:CLASSES[:COUNT]",
     "random learnable images, for example synthetic:3x32x32:10"},
}};

constexpr std::int64_t kDefaultCount = 2048;
constexpr std::int64_t kMaxClasses = 100'000;
constexpr std::int64_t kMaxCount = 100'000'000;
constexpr std::int64_t kMaxSide = 65'536;
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 35;

std::vector<std::string_view> split_text(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t low,
                                          std::int64_t high) {
  std::int64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc{} || end != text.data() + text.size() || value < low || value > high) {
    return std::nullopt;
  }
  return value;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  DataSpec parse() const {
    const std::size_t colon = text_.find(':');
    const std::string_view name = text_.substr(0, colon);
    const bool has_rest = colon != std::string_view::npos;
    const std::string_view rest = has_rest ? text_.substr(colon + 1) : std::string_view();
    DataSpec spec;
    spec.kind = kind(name);
    switch (spec.kind) {
      case DataSpec::Kind::digits:
        if (has_rest && rest.empty()) throw usage(spec.kind, "a file must follow the colon");
        spec.path = rest;
        break;
      case DataSpec::Kind::mnist:
      case DataSpec::Kind::cifar:
      case DataSpec::Kind::folder:
        if (rest.empty()) {
          throw usage(spec.kind, fmt::format("a folder must follow {}:", name));
        }
        spec.path = rest;
        break;
      case DataSpec::Kind::synthetic: synthetic(rest, spec); break;
    }
    return spec;
  }

 private:
  [[nodiscard]] Error refuse(std::string_view rule, std::string_view got) const {
    return user_error(ErrorCode::invalid_argument,
                      fmt::format("data \"{}\": {}, got \"{}\"", text_, rule, got));
  }

  [[nodiscard]] Error usage(DataSpec::Kind kind, std::string_view rule) const {
    return user_error(ErrorCode::invalid_argument,
                      fmt::format("data \"{}\": {}, got nothing", text_, rule))
        .help(fmt::format("write {}", kKinds[static_cast<std::size_t>(kind)].syntax));
  }

  [[nodiscard]] DataSpec::Kind kind(std::string_view name) const {
    std::vector<std::string> names;
    std::string list;
    for (std::size_t i = 0; i < kKinds.size(); ++i) {
      if (kKinds[i].name == name) return static_cast<DataSpec::Kind>(i);
      names.emplace_back(kKinds[i].name);
      list += fmt::format("{}{}", i == 0 ? "" : ", ", kKinds[i].syntax);
    }
    Error error = refuse("kind must be one of " + list, name);
    if (const std::string close = closest_names(name, names); !close.empty()) {
      error.help(fmt::format("did you mean {}?", close));
    }
    throw error;
  }

  void synthetic(std::string_view rest, DataSpec& spec) const {
    const auto parts = split_text(rest, ':');
    if (parts.size() < 2 || parts.size() > 3) {
      throw refuse("synthetic must be followed by :SHAPE:CLASSES[:COUNT]", rest);
    }
    const auto sides = split_text(parts[0], 'x');
    for (const std::string_view side : sides) {
      const auto value = parse_integer(side, 1, kMaxSide);
      if (sides.size() != 3 || !value) {
        throw refuse(fmt::format("shape must be CxHxW with sizes from 1 to {}", kMaxSide),
                     parts[0]);
      }
      spec.image_shape.push_back(*value);
    }
    const auto classes = parse_integer(parts[1], 2, kMaxClasses);
    if (!classes) {
      throw refuse(fmt::format("classes must be an integer from 2 to {}", kMaxClasses), parts[1]);
    }
    spec.class_count = *classes;
    spec.count = std::max(kDefaultCount, *classes);
    if (parts.size() == 3) {
      const auto count = parse_integer(parts[2], 1, kMaxCount);
      if (!count) {
        throw refuse(fmt::format("count must be an integer from 1 to {}", kMaxCount), parts[2]);
      }
      spec.count = *count;
    }
    const std::int64_t bytes = TensorType{
        DType::u8,
        {spec.count, spec.image_shape[0], spec.image_shape[1],
         spec.image_shape[2]}}.bytes();
    if (bytes > kMaxBytes) {
      throw refuse(fmt::format("the training images must fit {} bytes", kMaxBytes),
                   std::to_string(bytes));
    }
  }

  std::string_view text_;
};

}  // namespace

std::span<const DataKind> data_kinds() noexcept { return kKinds; }

std::string DataSpec::to_string() const {
  switch (kind) {
    case Kind::digits: return path.empty() ? "digits" : "digits:" + path;
    case Kind::mnist: return "mnist:" + path;
    case Kind::cifar: return "cifar:" + path;
    case Kind::folder: return "folder:" + path;
    case Kind::synthetic: break;
  }
  return fmt::format("synthetic:{}x{}x{}:{}:{}", image_shape[0], image_shape[1], image_shape[2],
                     class_count, count);
}

DataSpec parse_data_spec(std::string_view text) { return Parser(text).parse(); }

DatasetPair load_data(const DataSpec& spec, std::uint64_t seed) {
  switch (spec.kind) {
    case DataSpec::Kind::digits:
      return load_digits(
          spec.path.empty() ? find_digits(usual_digits_files()) : std::filesystem::path(spec.path),
          seed);
    case DataSpec::Kind::mnist: return load_mnist(spec.path);
    case DataSpec::Kind::cifar: return load_cifar10(spec.path);
    case DataSpec::Kind::folder: return load_image_folder(spec.path);
    case DataSpec::Kind::synthetic: break;
  }
  SyntheticOptions options;
  options.image_shape = spec.image_shape;
  options.class_count = spec.class_count;
  options.train_count = spec.count;
  options.test_count = std::max<std::int64_t>(1, spec.count / 4);
  options.seed = seed;
  return make_synthetic(options);
}

DatasetPair load_data(std::string_view spec, std::uint64_t seed) {
  return load_data(parse_data_spec(spec), seed);
}

}  // namespace ingot::data
