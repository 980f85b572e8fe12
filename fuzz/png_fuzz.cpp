// A PNG image, as grey and as colour.
#include <string>

#include "fuzz/fuzz.h"
#include "ingot/data/png.h"
#include "tests/support/encode.h"

namespace {

// Give every chunk the checksum that it needs, so that mutations get past the check.
std::string with_checksums(std::string_view image) {
  constexpr std::size_t kSignature = 8;
  constexpr std::size_t kLength = 4;
  constexpr std::size_t kType = 4;
  constexpr std::size_t kChecksum = 4;
  std::string result(image.substr(0, kSignature));
  image.remove_prefix(result.size());
  while (image.size() >= kLength + kType + kChecksum) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < kLength; ++i) {
      length = length << 8 | static_cast<unsigned char>(image[i]);
    }
    if (length > image.size() - kLength - kType - kChecksum) break;
    const std::string_view body = image.substr(kLength, kType + length);
    result += image.substr(0, kLength);
    result += body;
    result += ingot::testing_support::big_endian(ingot::testing_support::crc32(body));
    image.remove_prefix(kLength + kType + length + kChecksum);
  }
  return result += image;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kLimit = 1 << 20;
  const std::string repaired = with_checksums(ingot::fuzz::text_of(data, size));
  for (const int channels : {1, 3}) {
    ingot::fuzz::accepted([&] {
      const auto bytes = ingot::testing_support::bytes_of(repaired);
      const ingot::HostTensor image = ingot::data::decode_png(bytes, channels, "f", kLimit);
      ingot::fuzz::require(image.bytes().size() <= kLimit, "the image is above the limit");
    });
  }
  return 0;
}
