// Reading files whole or mapped, and replacing a file atomically.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::io {

/// The bytes of a regular file. Error (not_found or io): `file "p": must be readable, got no such
/// file or directory` and the like.
std::vector<std::byte> read_file(const std::filesystem::path& path);
/// The same as text.
std::string read_text_file(const std::filesystem::path& path);

/// A file mapped for reading; the mapping ends with this object. The file must not shrink
/// meanwhile: replace files by rename, as AtomicFile does, which leaves mappings intact.
class MappedFile {
 public:
  /// No bytes.
  MappedFile() = default;
  /// Errors as read_file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

/// Replaces a file in one step: the content goes to a temporary file in the same folder, which
/// commit() syncs to the disk and renames over `path`. Until then, and after any failure, the old
/// file is untouched; a temporary file that was not committed is removed. Errors (io) carry the
/// system's text: `file "p": must be writable, got no space left on device`.
class AtomicFile {
 public:
  /// Creates the temporary file; the folder must exist. A symbolic link at `path` is followed.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Append; large pieces are best, since each is one system call.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Make the content the file's, durably. At most once, and last.
  void commit();

 private:
  void discard() noexcept;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// Makes the folder's names durable: what was created, renamed or removed in it.
void sync_folder(const std::filesystem::path& path);

/// Makes the folder when missing. Errors: it cannot be made, or nothing can be written in it.
void make_writable_folder(const std::filesystem::path& path);

/// One AtomicFile with this content.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace ingot::io
