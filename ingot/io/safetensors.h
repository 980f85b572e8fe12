// The safetensors format: named tensors in one file, readable from Python.
//
// An 8-byte little-endian header length, that many bytes of JSON
// `{"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, "__metadata__": {..}}`,
// then the tensors' bytes, packed and row-major, without holes or overlaps. Offsets count from the
// end of the header. https://huggingface.co/docs/safetensors
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ingot/base/host_view.h"
#include "ingot/base/shape.h"
#include "ingot/io/file.h"

namespace ingot::io {

/// The free-form strings of `__metadata__`, in file order.
using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

/// A tensor of a file that was read; `bytes` points into the file.
struct SafetensorsEntry {
  std::string name;
  TensorType type;
  std::span<const std::byte> bytes;
};

/// The checked contents of a file. Everything about the header is verified on opening, so that the
/// entries can be trusted: offsets in range, without holes or overlaps, sizes equal to what dtype
/// and shape need, names unique.
class SafetensorsFile {
 public:
  /// Map a file. Errors (invalid_data): `safetensors "p": <rule>, got <values>`; (unsupported) for
  /// a dtype that Ingot lacks; those of MappedFile.
  explicit SafetensorsFile(const std::filesystem::path& path);
  /// Read from memory that outlives this object; `name` is what messages call it.
  SafetensorsFile(std::span<const std::byte> bytes, std::string name);

  /// In file order of the header.
  [[nodiscard]] const std::vector<SafetensorsEntry>& entries() const noexcept { return entries_; }
  [[nodiscard]] const SafetensorsMetadata& metadata() const noexcept { return metadata_; }
  /// nullptr when there is no such tensor.
  [[nodiscard]] const SafetensorsEntry* find(std::string_view name) const;
  /// A copy of the tensor; Error (not_found) with the closest names when there is none, and
  /// (invalid_data) when a bool is neither 0 nor 1.
  [[nodiscard]] HostTensor tensor(std::string_view name) const;

 private:
  void parse(std::span<const std::byte> bytes);

  std::string name_;
  MappedFile file_;
  std::vector<SafetensorsEntry> entries_;
  std::unordered_map<std::string, std::size_t> index_;
  SafetensorsMetadata metadata_;
};

/// A tensor to write; `bytes` has type.bytes() bytes.
struct SafetensorsTensor {
  std::string name;
  TensorType type;
  std::span<const std::byte> bytes;
};

/// Write atomically (see AtomicFile). The file is a function of the arguments: wider elements come
/// first, so that every tensor is aligned to its element, and otherwise the given order is kept.
/// Errors (invalid_argument): a name or a metadata key twice, a tensor called "__metadata__", a
/// wrong number of bytes, names that are not UTF-8.
void write_safetensors(const std::filesystem::path& path,
                       std::span<const SafetensorsTensor> tensors,
                       const SafetensorsMetadata& metadata = {});

}  // namespace ingot::io
