// A JPEG image.
#include "fuzz/fuzz.h"
#include "ingot/data/jpeg.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kLimit = 1 << 20;
  ingot::fuzz::accepted([&] {
    const auto bytes = std::as_bytes(std::span(data, size));
    const ingot::HostTensor image = ingot::data::decode_jpeg(bytes, "f", kLimit);
    ingot::fuzz::require(image.bytes().size() <= kLimit, "the image is above the limit");
  });
  return 0;
}
