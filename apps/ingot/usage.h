// Errors of the command line itself, apart from those of a run.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include "ingot/base/error.h"

namespace ingot::cli {

/// The command line must change: exit code 2.
class UsageError final : public std::exception {
 public:
  explicit UsageError(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

/// What `read` gives. An argument that it finds wrong, or a thing that an argument names and that
/// is not there, is a UsageError.
template <typename Read>
auto reading_arguments(Read&& read) {
  try {
    return read();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::invalid_argument || error.code() == ErrorCode::not_found) {
      throw UsageError(error.what());
    }
    throw;
  }
}

}  // namespace ingot::cli
