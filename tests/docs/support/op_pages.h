// The reference pages of the ops, from their records.
#pragma once

#include <map>
#include <string>

namespace ingot::docs {

/// File name under docs/ops -> its text: one page an op, and README.md, the list of them.
std::map<std::string, std::string> op_pages();

}  // namespace ingot::docs
