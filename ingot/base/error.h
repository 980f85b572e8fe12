// The one exception type of Ingot.
#pragma once

#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <string_view>

namespace ingot {

/// Who has to act: the caller, nobody yet (not supported here), or Ingot's developers.
enum class ErrorKind : std::uint8_t { user, unsupported, internal };

/// What was wrong, for programs that react to it.
enum class ErrorCode : std::uint8_t {
  invalid_argument,  ///< an option, attribute or name is not acceptable
  invalid_shape,     ///< operands' shapes or dtypes break an op's rule
  invalid_graph,     ///< a Graph is malformed or cannot be parsed
  invalid_feed,      ///< a feed or a bound buffer does not fit
  invalid_data,      ///< a file or a data set is damaged, or data broke an op's rule at run time
  use_after_release,
  not_found,
  io,  ///< the operating system refused a file operation
  out_of_memory,
  unsupported,
  numerics,  ///< NaN or Inf appeared
  interrupted,
  internal,
};

/// Grammar of the first line: `op "name": rule, got values` (lower case, no final period);
/// then optional lines `note: ...` and `help: ...`.
class Error : public std::exception {
 public:
  Error(ErrorKind kind, ErrorCode code, std::string message);

  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  /// The first line alone.
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  /// All lines.
  [[nodiscard]] const char* what() const noexcept override { return what_.c_str(); }

  /// Append a `note:` or `help:` line; return *this for `throw user_error(...).help(...)`.
  Error& note(std::string_view text);
  Error& help(std::string_view text);

 private:
  ErrorKind kind_;
  ErrorCode code_;
  std::string message_;
  std::string what_;
};

Error user_error(ErrorCode code, std::string message);
Error unsupported_error(std::string message);
/// A broken invariant of Ingot itself; the message asks for a report.
Error internal_error(std::string message);

/// What the system said about a file: `file "path": must be <rule>, got no such file or directory`.
/// `error` is an errno value; the code is not_found for ENOENT, else io.
Error file_error(std::string_view path, std::string_view rule, int error);

/// The candidates closest to `name` by edit distance, at most three, as `"a", "b"`; empty when
/// none is close. Used for `help: did you mean ...`.
std::string closest_names(std::string_view name, std::span<const std::string> candidates);

}  // namespace ingot
