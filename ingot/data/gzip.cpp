#include "ingot/data/gzip.h"

#include <fmt/core.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "ingot/base/error.h"

namespace ingot::data {
namespace {

struct GzipCloser {
  void operator()(gzFile_s* file) const noexcept { gzclose_r(file); }
};

Error read_error(const std::filesystem::path& path, gzFile file) {
  int code = Z_OK;
  gzerror(file, &code);
  if (code == Z_ERRNO) return file_error(path.string(), "readable", errno);
  return user_error(ErrorCode::invalid_data,
                    fmt::format("gzip \"{}\": must be undamaged, got {}", path.string(),
                                code == Z_BUF_ERROR ? "the end of the file inside the stream"
                                                    : "bytes that do not decompress"));
}

}  // namespace

std::vector<std::byte> read_maybe_gzip(const std::filesystem::path& path, std::size_t limit) {
  errno = 0;
  const std::unique_ptr<gzFile_s, GzipCloser> file(gzopen(path.c_str(), "rb"));
  if (!file) throw file_error(path.string(), "readable", errno != 0 ? errno : ENOMEM);
  gzbuffer(file.get(), 1u << 17);
  std::vector<std::byte> content;
  std::size_t done = 0;
  // The size is unknown before the end, so the buffer doubles; one byte past the limit shows that
  // there is more.
  for (;;) {
    if (done > limit) {
      throw user_error(
          ErrorCode::invalid_data,
          fmt::format("file \"{}\": must have at most {} bytes, got more", path.string(), limit));
    }
    const std::size_t room = std::min(std::max(done * 2, std::size_t{1} << 20), limit + 1);
    content.resize(room);
    const auto piece = static_cast<unsigned>(std::min(room - done, std::size_t{1} << 30));
    const int count = gzread(file.get(), content.data() + done, piece);
    if (count < 0) throw read_error(path, file.get());
    done += static_cast<std::size_t>(count);
    if (static_cast<unsigned>(count) < piece) break;
  }
  int code = Z_OK;
  gzerror(file.get(), &code);
  if (code != Z_OK && code != Z_STREAM_END) throw read_error(path, file.get());
  content.resize(done);
  return content;
}

std::string zlib_library_version() { return zlibVersion(); }

}  // namespace ingot::data
