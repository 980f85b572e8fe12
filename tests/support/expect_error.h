// Helpers for tests of exact error texts.
#pragma once

#include <gtest/gtest.h>

#include <concepts>
#include <string>
#include <string_view>

#include "ingot/base/error.h"
#include "ingot/base/function_ref.h"

namespace ingot::testing_support {

/// All lines of the Error that `call` throws; "no error" when it throws none.
template <std::invocable Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// Expects `action` to throw an Error of this kind and code whose what() is exactly `text`.
inline void expect_error(ErrorKind kind, ErrorCode code, std::string_view text,
                         FunctionRef<void()> action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(std::string_view(error.what()), text);
    EXPECT_EQ(error.kind(), kind);
    EXPECT_EQ(error.code(), code);
    return;
  }
  ADD_FAILURE() << "no error, expected: " << text;
}

inline void expect_user_error(ErrorCode code, std::string_view text, FunctionRef<void()> action) {
  expect_error(ErrorKind::user, code, text, action);
}

}  // namespace ingot::testing_support
