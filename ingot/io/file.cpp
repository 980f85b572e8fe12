#include "ingot/io/file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <system_error>
#include <utility>

#include "ingot/base/error.h"

namespace ingot::io {
namespace {

// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int value) noexcept : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return value_; }

 private:
  int value_;
};

// The descriptor of a regular file and its size.
std::pair<int, std::size_t> open_for_reading(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw file_error(path.string(), "readable", errno);
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) {
    const int error = errno;
    ::close(descriptor);
    throw file_error(path.string(), "readable", error);
  }
  if (!S_ISREG(status.st_mode)) {
    ::close(descriptor);
    throw user_error(ErrorCode::io,
                     fmt::format("file \"{}\": must be a regular file, got a {}", path.string(),
                                 S_ISDIR(status.st_mode) ? "folder" : "special file"));
  }
  return {descriptor, static_cast<std::size_t>(status.st_size)};
}

template <typename Container>
Container read_whole(const std::filesystem::path& path) {
  const auto [raw, size] = open_for_reading(path);
  const Descriptor descriptor(raw);
  Container content;
  content.resize(size);
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = ::read(descriptor.get(), content.data() + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw file_error(path.string(), "readable", errno);
    if (count == 0) break;  // the file shrank meanwhile
    done += static_cast<std::size_t>(count);
  }
  content.resize(done);
  return content;
}

// Flush to the disk itself: macOS keeps written data in the drive's cache after fsync.
int sync_descriptor(int descriptor) noexcept {
#ifdef F_FULLFSYNC
  if (::fcntl(descriptor, F_FULLFSYNC) == 0) return 0;
#endif
  return ::fsync(descriptor);
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  return read_whole<std::vector<std::byte>>(path);
}

std::string read_text_file(const std::filesystem::path& path) {
  return read_whole<std::string>(path);
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const auto [raw, size] = open_for_reading(path);
  const Descriptor descriptor(raw);
  if (size == 0) return;  // an empty mapping is refused by the system
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
  if (data == MAP_FAILED) throw file_error(path.string(), "mappable", errno);
  bytes_ = {static_cast<const std::byte*>(data), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path) {
  std::error_code error;
  if (std::filesystem::is_symlink(path, error)) {
    path_ = std::filesystem::weakly_canonical(path, error);
    if (error) throw file_error(path.string(), "writable", error.value());
  }
  // The random part keeps concurrent writers of one path apart.
  std::random_device random;
  for (int attempt = 0; attempt < 100; ++attempt) {
    temporary_ = folder_of(path_) /
                 fmt::format(".{}.{:08x}{:08x}.tmp", path_.filename().string(), random(), random());
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0 || errno != EEXIST) break;
  }
  if (descriptor_ < 0) throw file_error(path_.string(), "writable", errno);
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (descriptor_ >= 0) {
    ::close(std::exchange(descriptor_, -1));
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (descriptor_ < 0) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("file \"{}\": nothing can be written after commit or a failure, "
                                 "got {} bytes",
                                 path_.string(), bytes.size()));
  }
  while (!bytes.empty()) {
    // Some systems refuse single writes of 2 GiB and more.
    const std::size_t piece = std::min(bytes.size(), std::size_t{1} << 30);
    const ssize_t count = ::write(descriptor_, bytes.data(), piece);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error = errno;
      discard();
      throw file_error(path_.string(), "writable", error);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::commit() {
  if (descriptor_ < 0) {
    throw user_error(
        ErrorCode::invalid_argument,
        fmt::format("file \"{}\": must be committed once, got another commit or one after a "
                    "failure",
                    path_.string()));
  }
  // close reports what some file systems notice only then; rename must not run before.
  if (sync_descriptor(descriptor_) != 0) {
    const int error = errno;
    discard();
    throw file_error(path_.string(), "writable", error);
  }
  if (::close(std::exchange(descriptor_, -1)) != 0 ||
      ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    throw file_error(path_.string(), "writable", error);
  }
  sync_folder(folder_of(path_));  // the new name has to reach the disk too
}

void sync_folder(const std::filesystem::path& path) {
  // File systems that cannot sync a folder say EINVAL.
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || (::fsync(folder.get()) != 0 && errno != EINVAL && errno != ENOTSUP)) {
    throw file_error(path.string(), "durable after a change", errno);
  }
}

void make_writable_folder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw file_error(path.string(), "a folder", error.value());
  const AtomicFile probe(path / "probe");  // never committed
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace ingot::io
