// Encoders for test files, without compression.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

namespace ingot::testing_support {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline void write_file(const std::filesystem::path& path, std::string_view content) {
  std::ofstream(path, std::ios::binary)
      .write(content.data(), static_cast<std::streamsize>(content.size()));
}

inline std::string big_endian(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

inline std::string little_endian(std::uint32_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

inline std::uint32_t crc32(std::string_view text) {
  std::uint32_t crc = ~0u;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1u) != 0 ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

/// A deflate stream of stored blocks (RFC 1951, 3.2.4).
inline std::string deflate_stored(std::string_view content) {
  constexpr std::size_t kBlock = 65535;
  std::string text;
  do {
    const std::string_view block = content.substr(0, kBlock);
    content.remove_prefix(block.size());
    const auto size = static_cast<std::uint32_t>(block.size());
    text += content.empty() ? '\1' : '\0';
    text += little_endian(size, 2) + little_endian(~size, 2);
    text += block;
  } while (!content.empty());
  return text;
}

/// RFC 1952.
inline std::string gzip_stored(std::string_view content) {
  return std::string("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10) + deflate_stored(content) +
         little_endian(crc32(content), 4) +
         little_endian(static_cast<std::uint32_t>(content.size()), 4);
}

inline std::string png_chunk(std::string_view type, std::string_view content) {
  const std::string body = std::string(type) + std::string(content);
  return big_endian(static_cast<std::uint32_t>(content.size())) + body + big_endian(crc32(body));
}

/// A PNG image (ISO 15948). `rows` holds each row's bytes one after another; `extra` are chunks
/// that go between IHDR and IDAT.
inline std::string encode_png(std::uint32_t width, std::uint32_t height, int bit_depth,
                              int colour_type, std::string_view rows, std::string_view extra = "") {
  std::string filtered;
  const std::size_t row_bytes = rows.size() / height;
  for (std::uint32_t y = 0; y < height; ++y) {
    filtered += '\0';
    filtered += rows.substr(y * row_bytes, row_bytes);
  }
  std::uint32_t a = 1;  // Adler-32
  std::uint32_t b = 0;
  for (const char c : filtered) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  const std::string header = big_endian(width) + big_endian(height) + static_cast<char>(bit_depth) +
                             static_cast<char>(colour_type) + std::string(3, '\0');
  return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", header) + std::string(extra) +
         png_chunk("IDAT", "\x78\x01" + deflate_stored(filtered) + big_endian(b << 16 | a)) +
         png_chunk("IEND", "");
}

/// An IDX file of u8 elements.
inline std::string encode_idx(std::span<const std::uint32_t> dims, std::string_view elements) {
  std::string text = big_endian(0x800u + static_cast<std::uint32_t>(dims.size()));
  for (const std::uint32_t dim : dims) text += big_endian(dim);
  return text + std::string(elements);
}

}  // namespace ingot::testing_support
