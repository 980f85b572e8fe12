// Buffers of a request merged by aliasing, in dense time.
#pragma once

#include <cstdint>
#include <vector>

#include "ingot/planner/plan.h"

namespace ingot {

/// What shares one place in the arena.
struct Lifetime {
  std::int64_t bytes = 0;  ///< rounded up to the alignment
  int first = 0;           ///< ranks of times, dense
  int last = 0;
};

struct Lifetimes {
  std::vector<Lifetime> items;     ///< none is empty
  std::vector<int> item_of;        ///< of each buffer; -1 for one without bytes
  std::vector<std::int64_t> live;  ///< bytes live at each time
  std::vector<int> time_of;        ///< the request's time of each dense time
};

/// Checks the request (see make_plan) and merges its aliases.
Lifetimes find_lifetimes(const PlanRequest& request);

/// The dense time at which most bytes are live, the first of several; -1 when there are none.
int peak_time(const Lifetimes& lifetimes);

}  // namespace ingot
