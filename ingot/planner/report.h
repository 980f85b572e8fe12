// Who owns the memory of a plan at its peak.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ingot/planner/plan.h"

namespace ingot {

struct OwnerBytes {
  std::string owner;
  std::int64_t bytes = 0;
  friend bool operator==(const OwnerBytes&, const OwnerBytes&) = default;
};

/// The owners of what is live at the moment of most live bytes, the largest first (ties by name).
/// Shared memory counts once, for the buffer that is shared.
std::vector<OwnerBytes> largest_owners(const PlanRequest& request, std::size_t count = 10);

}  // namespace ingot
