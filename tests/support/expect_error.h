// Helpers for tests of exact error texts.
#pragma once

#include <concepts>
#include <string>

#include "ingot/base/error.h"

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

}  // namespace ingot::testing_support
