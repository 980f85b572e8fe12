// An independent check of a Plan against its request: shares no code with the planner.
#pragma once

#include <string>
#include <vector>

#include "ingot/planner/plan.h"

namespace ingot {

/// What is wrong with the plan, one line each, at most ten; empty when it is sound: every offset is
/// aligned and inside the arena, buffers live at one time lie apart unless one shares the other's
/// memory by `alias_of`, sharers have one offset, and none shares memory that is no longer live.
std::vector<std::string> check_plan(const PlanRequest& request, const Plan& plan);

/// Throws an internal Error naming the first violation.
void verify_plan(const PlanRequest& request, const Plan& plan);

}  // namespace ingot
