// Where in the user's program a Value was made.
#pragma once

#include <cstdint>
#include <string>

namespace ingot {

/// A call site, captured by a defaulted argument `SourceLocation loc = SourceLocation::current()`.
/// Built on the compiler's builtins, which every supported compiler has.
struct SourceLocation {
  const char* file = "";
  const char* function = "";
  std::uint32_t line = 0;

  static constexpr SourceLocation current(const char* file = __builtin_FILE(),
                                          const char* function = __builtin_FUNCTION(),
                                          std::uint32_t line = __builtin_LINE()) noexcept {
    return {file, function, line};
  }
  [[nodiscard]] constexpr bool known() const noexcept { return line != 0; }
  /// "train.cpp:12 in main"; empty when unknown. Only the last component of the path is shown.
  [[nodiscard]] std::string to_string() const;
};

}  // namespace ingot
