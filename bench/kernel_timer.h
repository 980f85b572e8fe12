// How long something that runs on one core takes.
#pragma once

#include <functional>

namespace ingot {

/// Processor time of the best of several runs, in seconds.
double best_seconds(const std::function<void()>& run);

}  // namespace ingot
