#include "ingot/io/safetensors.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <unordered_set>

#include "ingot/base/error.h"
#include "ingot/io/json.h"

namespace ingot::io {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kLengthBytes = 8;
constexpr std::string_view kMetadataKey = "__metadata__";

struct DTypeName {
  std::string_view name;
  DType dtype;
};

constexpr std::array<DTypeName, kDTypeCount> kDTypeNames = {{{"F64", DType::f64},
                                                             {"F32", DType::f32},
                                                             {"F16", DType::f16},
                                                             {"BF16", DType::bf16},
                                                             {"I64", DType::i64},
                                                             {"I32", DType::i32},
                                                             {"I8", DType::i8},
                                                             {"U8", DType::u8},
                                                             {"BOOL", DType::boolean}}};

std::string_view format_name(DType dtype) {
  for (const DTypeName& entry : kDTypeNames) {
    if (entry.dtype == dtype) return entry.name;
  }
  throw internal_error(fmt::format("safetensors: dtype {} has no name", dtype_name(dtype)));
}

Error invalid(std::string_view name, std::string_view text) {
  return user_error(ErrorCode::invalid_data, fmt::format("safetensors \"{}\": {}", name, text));
}

// Checks one header against the format's rules and the size of the data behind it.
class HeaderReader {
 public:
  HeaderReader(std::string_view name, std::span<const std::byte> data) : name_(name), data_(data) {}

  SafetensorsEntry entry(const std::string& key, const Json& value) const {
    if (!value.is_object()) throw broken(key, "an object", value.describe());
    for (const JsonMember& member : value.as_object()) {
      if (member.key != "dtype" && member.key != "shape" && member.key != "data_offsets") {
        throw error(fmt::format(
            "tensor \"{}\" must have the keys dtype, shape and data_offsets only, got \"{}\"", key,
            member.key));
      }
    }
    SafetensorsEntry result{key, {dtype(key, value), {}}, {}};
    const std::uint64_t needed = shape(key, value, result.type);
    const auto [begin, end] = offsets(key, value);
    if (end - begin != needed) {
      throw error(fmt::format("tensor \"{}\" of {} needs {} bytes, got data_offsets [{}, {}]", key,
                              result.type.to_string(), needed, begin, end));
    }
    result.bytes = data_.subspan(begin, end - begin);
    return result;
  }

  // Every byte of the data must belong to exactly one tensor.
  void check_coverage(const std::vector<SafetensorsEntry>& entries) const {
    std::vector<const SafetensorsEntry*> by_offset;
    for (const SafetensorsEntry& entry : entries) by_offset.push_back(&entry);
    std::sort(by_offset.begin(), by_offset.end(),
              [](const SafetensorsEntry* a, const SafetensorsEntry* b) {
                return std::pair(a->bytes.data(), a->bytes.size()) <
                       std::pair(b->bytes.data(), b->bytes.size());
              });
    std::size_t covered = 0;
    for (const SafetensorsEntry* entry : by_offset) {
      const auto begin = static_cast<std::size_t>(entry->bytes.data() - data_.data());
      if (begin != covered) {
        throw error(fmt::format("tensor \"{}\" must begin at {} to leave no {}, got {}",
                                entry->name, covered, begin > covered ? "hole" : "overlap", begin));
      }
      covered += entry->bytes.size();
    }
    if (covered != data_.size()) {
      throw error(
          fmt::format("the tensors must fill the data of {} bytes, got {}", data_.size(), covered));
    }
  }

  SafetensorsMetadata metadata(const Json& value) const {
    if (!value.is_object()) {
      throw error(fmt::format("__metadata__ must be an object, got {}", value.describe()));
    }
    SafetensorsMetadata result;
    for (const JsonMember& member : value.as_object()) {
      if (!member.value.is_string()) {
        throw error(fmt::format("__metadata__ \"{}\" must be a string, got {}", member.key,
                                member.value.describe()));
      }
      result.emplace_back(member.key, member.value.as_string());
    }
    return result;
  }

 private:
  [[nodiscard]] Error error(std::string_view text) const { return invalid(name_, text); }
  [[nodiscard]] Error broken(const std::string& key, std::string_view rule,
                             std::string_view got) const {
    return error(fmt::format("tensor \"{}\" must have {}, got {}", key, rule, got));
  }

  static std::string describe(const Json* value) {
    return value == nullptr ? "none" : value->describe();
  }

  [[nodiscard]] DType dtype(const std::string& key, const Json& value) const {
    const Json* field = value.find("dtype");
    if (field == nullptr || !field->is_string()) {
      throw broken(key, "a dtype that is a string", describe(field));
    }
    for (const DTypeName& entry : kDTypeNames) {
      if (entry.name == field->as_string()) return entry.dtype;
    }
    throw unsupported_error(fmt::format(
        "safetensors \"{}\": tensor \"{}\" must have dtype F64, F32, F16, BF16, I64, I32, I8, U8 "
        "or BOOL, got {}",
        name_, key, field->describe()));
  }

  // Fills type.shape and returns the bytes it needs.
  std::uint64_t shape(const std::string& key, const Json& value, TensorType& type) const {
    const Json* field = value.find("shape");
    if (field == nullptr || !field->is_array()) {
      throw broken(key, "a shape that is an array", describe(field));
    }
    const Json::Array& dims = field->as_array();
    if (dims.size() > static_cast<std::size_t>(Shape::kMaxRank)) {
      throw broken(key, fmt::format("at most {} dimensions", Shape::kMaxRank),
                   fmt::format("{}", dims.size()));
    }
    std::uint64_t bytes = dtype_size(type.dtype);
    bool overflow = false;
    for (const Json& dim : dims) {
      if (!dim.fits_i64() || dim.as_i64() < 0) {
        throw broken(key, "dimensions from 0 to 2^63 - 1", dim.describe());
      }
      type.shape.push_back(dim.as_i64());
      overflow |= __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dim.as_i64()), &bytes);
    }
    if (overflow || bytes > static_cast<std::uint64_t>(INT64_MAX)) {
      throw broken(key, "a size below 2^63 bytes", type.to_string());
    }
    return bytes;
  }

  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> offsets(const std::string& key,
                                                                const Json& value) const {
    const Json* field = value.find("data_offsets");
    if (field == nullptr || !field->is_array() || field->as_array().size() != 2) {
      throw broken(key, "data_offsets that are an array of 2 values", describe(field));
    }
    const Json& begin = field->as_array()[0];
    const Json& end = field->as_array()[1];
    const auto valid = [](const Json& offset) { return offset.fits_i64() && offset.as_i64() >= 0; };
    if (!valid(begin) || !valid(end) || begin.as_u64() > end.as_u64() ||
        end.as_u64() > data_.size()) {
      throw broken(key, fmt::format("data_offsets with 0 <= begin <= end <= {}", data_.size()),
                   fmt::format("[{}, {}]", begin.describe(), end.describe()));
    }
    return {begin.as_u64(), end.as_u64()};
  }

  std::string_view name_;
  std::span<const std::byte> data_;
};

std::uint64_t load_length(std::span<const std::byte> bytes) {
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  }
  return length;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : name_(path.string()), file_(path) {
  parse(file_.bytes());
}

SafetensorsFile::SafetensorsFile(std::span<const std::byte> bytes, std::string name)
    : name_(std::move(name)) {
  parse(bytes);
}

void SafetensorsFile::parse(std::span<const std::byte> bytes) {
  const auto refuse = [&](std::string_view text) { return invalid(name_, text); };
  if (bytes.size() < kLengthBytes) {
    throw refuse(fmt::format("must have at least 8 bytes, got {}", bytes.size()));
  }
  const std::uint64_t length = load_length(bytes);
  if (length > kMaxHeaderBytes) {
    throw refuse(
        fmt::format("the header must have at most {} bytes, got {}", kMaxHeaderBytes, length));
  }
  if (length > bytes.size() - kLengthBytes) {
    throw refuse(
        fmt::format("the header of {} bytes must fit the file, got {} bytes after its "
                    "length",
                    length, bytes.size() - kLengthBytes));
  }
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
                                static_cast<std::size_t>(length));
  if (!header.starts_with('{')) {
    throw refuse(header.empty() ? "the header must begin with {, got none"
                                : "the header must begin with {, got another byte");
  }
  const HeaderReader reader(name_, bytes.subspan(kLengthBytes + header.size()));
  const Json root = Json::parse(header, name_);
  for (const JsonMember& member : root.as_object()) {
    if (member.key == kMetadataKey) {
      metadata_ = reader.metadata(member.value);
    } else {
      entries_.push_back(reader.entry(member.key, member.value));
      index_.emplace(member.key, entries_.size() - 1);
    }
  }
  reader.check_coverage(entries_);
}

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &entries_[found->second];
}

HostTensor SafetensorsFile::tensor(std::string_view name) const {
  const SafetensorsEntry* entry = find(name);
  if (entry == nullptr) {
    Error error =
        user_error(ErrorCode::not_found,
                   fmt::format("safetensors \"{}\": must hold tensor \"{}\", got {} others", name_,
                               name, entries_.size()));
    std::vector<std::string> names;
    for (const SafetensorsEntry& other : entries_) names.push_back(other.name);
    if (const std::string close = closest_names(name, names); !close.empty()) {
      error.help(fmt::format("did you mean {}?", close));
    }
    throw error;
  }
  if (entry->type.dtype == DType::boolean) {
    for (const std::byte value : entry->bytes) {
      if (value > std::byte{1}) {
        throw invalid(name_, fmt::format("tensor \"{}\" must hold booleans 0 or 1, got {}", name,
                                         std::to_integer<int>(value)));
      }
    }
  }
  HostTensor result(entry->type);
  std::copy(entry->bytes.begin(), entry->bytes.end(), result.bytes().begin());
  return result;
}

void write_safetensors(const std::filesystem::path& path,
                       std::span<const SafetensorsTensor> tensors,
                       const SafetensorsMetadata& metadata) {
  const auto refuse = [&](const std::string& text) {
    return user_error(ErrorCode::invalid_argument,
                      fmt::format("safetensors \"{}\": {}", path.string(), text));
  };
  std::vector<const SafetensorsTensor*> order;
  std::unordered_set<std::string_view> names = {kMetadataKey};
  for (const SafetensorsTensor& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      throw refuse(tensor.name == kMetadataKey
                       ? "no tensor may be called __metadata__, got one"
                       : fmt::format("names must be unique, got \"{}\" twice", tensor.name));
    }
    if (static_cast<std::int64_t>(tensor.bytes.size()) != tensor.type.bytes()) {
      throw refuse(fmt::format("tensor \"{}\" of {} needs {} bytes, got {}", tensor.name,
                               tensor.type.to_string(), tensor.type.bytes(), tensor.bytes.size()));
    }
    order.push_back(&tensor);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const SafetensorsTensor* a, const SafetensorsTensor* b) {
                     return dtype_size(a->type.dtype) > dtype_size(b->type.dtype);
                   });

  Json::Object header;
  if (!metadata.empty()) {
    Json strings = Json::object();
    for (const auto& [key, value] : metadata) {
      if (strings.find(key) != nullptr) {
        throw refuse(fmt::format("metadata keys must be unique, got \"{}\" twice", key));
      }
      strings.set(key, value);
    }
    header.push_back({std::string(kMetadataKey), std::move(strings)});
  }
  std::uint64_t offset = 0;
  for (const SafetensorsTensor* tensor : order) {
    Json shape = Json::array();
    for (const std::int64_t dim : tensor->type.shape) shape.push_back(dim);
    const std::uint64_t end = offset + tensor->bytes.size();
    header.push_back(
        {tensor->name, Json::object({{"dtype", format_name(tensor->type.dtype)},
                                     {"shape", std::move(shape)},
                                     {"data_offsets", Json::Array{Json(offset), Json(end)}}})});
    offset = end;
  }
  // Spaces after the JSON, which the format allows, align the data to the widest element.
  std::string text = Json(std::move(header)).dump();
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  if (text.size() > kMaxHeaderBytes) {
    throw refuse(
        fmt::format("the header must have at most {} bytes, got {}", kMaxHeaderBytes, text.size()));
  }

  AtomicFile file(path);
  std::array<char, kLengthBytes> length{};
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
  }
  file.write(std::string_view(length.data(), length.size()));
  file.write(text);
  for (const SafetensorsTensor* tensor : order) file.write(tensor->bytes);
  file.commit();
}

}  // namespace ingot::io
