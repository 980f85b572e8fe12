// A shared library as a driver takes code: one pointer, so its size is in front.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace ingot::emulator {

inline constexpr std::uint64_t kBlobMark = 0x6c756d652d746f67;

inline std::string to_blob(const std::string& library) {
  const std::uint64_t head[2] = {kBlobMark, library.size()};
  return std::string(reinterpret_cast<const char*>(head), sizeof(head)) + library;
}

/// Empty: it is none.
inline std::string_view from_blob(const void* data) {
  std::uint64_t head[2];
  std::memcpy(head, data, sizeof(head));
  if (head[0] != kBlobMark) return {};
  return {static_cast<const char*>(data) + sizeof(head), head[1]};
}

}  // namespace ingot::emulator
