// The pipeline from a user's Graph to one that a backend can run.
#pragma once

#include <span>

#include "ingot/passes/pass.h"

namespace ingot {

/// Every pass in the order in which it runs.
std::span<const Pass> pass_list();

}  // namespace ingot
