#include "ingot/data/jpeg.h"

#include <fmt/core.h>

#include "ingot/base/error.h"
#include "ingot/data/interleaved.h"

#ifdef INGOT_HAVE_JPEG

#include <csetjmp>
#include <cstdio>
#include <vector>

// After <cstdio>, which it needs.
#include <jpeglib.h>

namespace ingot::data {
namespace {

constexpr std::size_t kSignatureBytes = 3;

/// libjpeg reports an error by a function that must not return: it jumps back into the member that
/// called libjpeg, where nothing with a destructor lives.
class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> bytes) : bytes_(bytes) {
    info_.err = jpeg_std_error(&errors_);
    errors_.error_exit = fail;
    errors_.emit_message = take_message;
    info_.client_data = this;
  }
  ~Decoder() { jpeg_destroy_decompress(&info_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  [[nodiscard]] const jpeg_decompress_struct& info() const noexcept { return info_; }
  [[nodiscard]] const char* message() const noexcept { return message_; }

  bool read_header() noexcept {
    if (setjmp(escape_) != 0) return false;
    jpeg_create_decompress(&info_);
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes_.data()),
                 static_cast<unsigned long>(bytes_.size()));
    jpeg_read_header(&info_, TRUE);
    return true;
  }
  /// Interleaved, row by row.
  bool read_pixels(JSAMPLE* pixels, bool grey) noexcept {
    if (setjmp(escape_) != 0) return false;
    info_.out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&info_);
    const std::size_t stride = std::size_t{info_.output_width} * (grey ? 1 : 3);
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = pixels + info_.output_scanline * stride;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

 private:
  [[noreturn]] static void fail(j_common_ptr info) {
    auto* self = static_cast<Decoder*>(info->client_data);
    info->err->format_message(info, self->message_);
    std::longjmp(self->escape_, 1);
  }
  /// A warning means damaged data, which libjpeg would fill up with grey.
  static void take_message(j_common_ptr info, int level) {
    if (level < 0) fail(info);
  }

  std::span<const std::byte> bytes_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  std::jmp_buf escape_{};
  char message_[JMSG_LENGTH_MAX] = {};
};

}  // namespace

HostTensor decode_jpeg(std::span<const std::byte> bytes, std::string_view name, std::size_t limit) {
  const auto refuse = [&](const std::string& text) {
    return user_error(ErrorCode::invalid_data, fmt::format("jpeg \"{}\": {}", name, text));
  };
  const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(bytes[i]); };
  if (bytes.size() < kSignatureBytes || byte(0) != 0xff || byte(1) != 0xd8 || byte(2) != 0xff) {
    throw refuse("must begin with the JPEG signature, got other bytes");
  }
  Decoder decoder(bytes);
  if (!decoder.read_header()) {
    throw refuse(fmt::format("must be undamaged, got \"{}\"", decoder.message()));
  }
  const int components = decoder.info().num_components;
  if (components != 1 && components != 3) {
    throw refuse(fmt::format("must have 1 or 3 components of colour, got {}", components));
  }
  const auto planes = static_cast<std::size_t>(components);
  const std::size_t height = decoder.info().image_height;
  const std::size_t width = decoder.info().image_width;
  if (width * height > limit / planes) {
    throw refuse(fmt::format("must have at most {} bytes of pixels, got {} x {} x {}", limit,
                             components, height, width));
  }
  std::vector<JSAMPLE> interleaved(planes * height * width);
  if (!decoder.read_pixels(interleaved.data(), components == 1)) {
    throw refuse(fmt::format("must be undamaged, got \"{}\"", decoder.message()));
  }
  return planes_of(interleaved, components, static_cast<std::int64_t>(height),
                   static_cast<std::int64_t>(width));
}

std::string jpeg_library_version() {
#ifdef LIBJPEG_TURBO_VERSION_NUMBER
  constexpr int kVersion = LIBJPEG_TURBO_VERSION_NUMBER;  // 2001005 for 2.1.5
  return fmt::format("libjpeg-turbo {}.{}.{}", kVersion / 1'000'000, kVersion / 1'000 % 1'000,
                     kVersion % 1'000);
#else
  return fmt::format("libjpeg, interface {}", JPEG_LIB_VERSION);
#endif
}

}  // namespace ingot::data

#else

namespace ingot::data {

HostTensor decode_jpeg(std::span<const std::byte>, std::string_view name, std::size_t) {
  throw unsupported_error(
      fmt::format("jpeg \"{}\": must be read by a build with libjpeg, got one without", name))
      .help("install libjpeg-dev (Debian, Ubuntu) or jpeg-turbo (Homebrew) and build again");
}

std::string jpeg_library_version() {
  return "missing; install libjpeg-dev (Debian, Ubuntu) or jpeg-turbo (Homebrew) and build again";
}

}  // namespace ingot::data

#endif
