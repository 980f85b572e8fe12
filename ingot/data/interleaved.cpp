#include "ingot/data/interleaved.h"

#include <cstddef>

namespace ingot::data {

HostTensor planes_of(std::span<const std::uint8_t> pixels, std::int64_t channels,
                     std::int64_t height, std::int64_t width) {
  HostTensor result({DType::u8, {channels, height, width}});
  const auto out = result.view().as<std::uint8_t>();
  const auto planes = static_cast<std::size_t>(channels);
  const std::size_t plane = out.size() / planes;
  for (std::size_t c = 0; c < planes; ++c) {
    for (std::size_t i = 0; i < plane; ++i) out[c * plane + i] = pixels[i * planes + c];
  }
  return result;
}

}  // namespace ingot::data
