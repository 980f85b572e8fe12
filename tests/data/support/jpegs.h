// Small JPEG images, as libjpeg-turbo wrote them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ingot::testing_support {

inline std::string bytes_of_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

/// A table of quantisation that loses nothing but rounding: 64 ones.
inline std::string quantisation_hex() {
  std::string hex;
  for (int i = 0; i < 64; ++i) hex += "01";
  return hex;
}

/// 16x8 pixels: the left half 50, the right half 200.
inline std::string grey_jpeg() {
  const std::string ones = quantisation_hex();
  return bytes_of_hex(
      std::string("ffd8ffdb004300") + ones +
      "ffc0000b080008001001011100ffc4001500010100000000000000000000000000000a0bffc400141001"
      "00000000000000000000000000000000ffda0008010100003f0031ea583fffd9");
}

/// 16x8 pixels: the left half red, the right half blue.
inline std::string colour_jpeg() {
  const std::string ones = quantisation_hex();
  return bytes_of_hex(
      std::string("ffd8ffdb004300") + ones + "ffdb0043" + ones +
      "01ffc00011080008001003011100021101031101ffc40014000100000000000000000000000000000009"
      "ffc40014100100000000000000000000000000000000ffc4001601010101000000000000000000000000"
      "000b090affc40014110100000000000000000000000000000000ffda000c03010002110311003f0017d2"
      "9dbf810e5501afbfffd9");
}

/// 16x8 pixels in four inks.
inline std::string ink_jpeg() {
  const std::string ones = quantisation_hex();
  return bytes_of_hex(
      std::string("ffd8ffee000e41646f626500640000000000ffdb004300") + ones +
      "ffc000140800080010044311004d11005911004b1100ffc4001500010100000000000000000000000000"
      "00000affc40014100100000000000000000000000000000000ffda000e0443004d0059004b00003f0084"
      "7423a11d08e00fffd9");
}

}  // namespace ingot::testing_support
