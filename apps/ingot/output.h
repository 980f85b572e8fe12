// Results on stdout.
#pragma once

#include <string_view>

namespace ingot::cli {

/// One line, at once. Errors (io): `file "<stdout>": must be writable, got broken pipe`.
void print_line(std::string_view line);
/// Fails like print_line when anything printed since the start was lost.
void check_output();

}  // namespace ingot::cli
