#include "ingot/data/png.h"

#include <fmt/core.h>
#include <png.h>

#include <cstdint>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/data/gzip.h"
#include "ingot/data/interleaved.h"

namespace ingot::data {
namespace {

constexpr std::size_t kSignatureBytes = 8;

// libpng's simplified interface: its state is freed whichever way the scope is left.
struct PngImage : png_image {
  PngImage() : png_image{} { version = PNG_IMAGE_VERSION; }
  ~PngImage() { png_image_free(this); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
};

}  // namespace

HostTensor decode_png(std::span<const std::byte> bytes, int channels, std::string_view name,
                      std::size_t limit) {
  if (channels != 0 && channels != 1 && channels != 3) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("png \"{}\": channels must be 1 or 3, got {}", name, channels));
  }
  const auto refuse = [&](const std::string& text) {
    return user_error(ErrorCode::invalid_data, fmt::format("png \"{}\": {}", name, text));
  };
  if (bytes.size() < kSignatureBytes ||
      png_sig_cmp(reinterpret_cast<png_const_bytep>(bytes.data()), 0, kSignatureBytes) != 0) {
    throw refuse("must begin with the PNG signature, got other bytes");
  }
  PngImage image;
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) {
    throw refuse(fmt::format("must be undamaged, got \"{}\"", image.message));
  }
  if (channels == 0) channels = (image.format & PNG_FORMAT_FLAG_COLOR) != 0 ? 3 : 1;
  const std::size_t width = image.width;
  const std::size_t height = image.height;
  const auto planes = static_cast<std::size_t>(channels);
  if (width * height > limit / planes) {
    throw refuse(fmt::format("must have at most {} bytes of pixels, got {} x {} x {}", limit,
                             channels, height, width));
  }
  image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  std::vector<png_byte> interleaved(width * height * planes);
  const png_color black{0, 0, 0};
  if (png_image_finish_read(&image, &black, interleaved.data(), 0, nullptr) == 0) {
    throw refuse(fmt::format("must be undamaged, got \"{}\"", image.message));
  }
  return planes_of(interleaved, channels, static_cast<std::int64_t>(height),
                   static_cast<std::int64_t>(width));
}

HostTensor read_png(const std::filesystem::path& path, int channels) {
  return decode_png(read_maybe_gzip(path), channels, path.string());
}

std::string png_library_version() { return png_get_libpng_ver(nullptr); }

}  // namespace ingot::data
