// How long the parts of a step take.
#pragma once

#include <string>

namespace ingot {

/// A kernel, or what else a profile can tell apart. Means over the profiled steps.
struct KernelTime {
  std::string what;  ///< op "node": implementation
  double seconds = 0;
  double flops = 0;
  double bytes = 0;  ///< read and written
  /// What the device needs at least, by its memory's bandwidth and its arithmetic; 0: not known.
  double floor_seconds = 0;
  int lane = 0;  ///< which of the step's parallel lanes it runs on
};

}  // namespace ingot
