// What every fuzzer needs.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

#include "ingot/base/error.h"

namespace ingot::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// End the run with a finding.
inline void require(bool condition, const char* rule) {
  if (condition) return;
  std::fprintf(stderr, "fuzz: %s\n", rule);
  std::abort();
}

/// Call; a user or unsupported Error is a fine answer to bad input, all else is a finding. Returns
/// whether there was no error.
template <typename Call>
bool accepted(Call&& call) {
  try {
    call();
    return true;
  } catch (const Error& error) {
    require(error.kind() != ErrorKind::internal, error.what());
    return false;
  }
}

}  // namespace ingot::fuzz
