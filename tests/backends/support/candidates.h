// What a backend's kernels say of a Node.
#pragma once

#include <string_view>

#include "ingot/runtime/backend.h"

namespace ingot {

/// What the table's entry of that name says; "not in the table" without one.
Support candidate_support(const Backend& backend, const Node& node, std::string_view candidate);

}  // namespace ingot
