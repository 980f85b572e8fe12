// How long a Node's kernel takes.
#pragma once

#include "tests/backends/support/node_harness.h"

namespace ingot {

/// Processor time of the best of several runs, in seconds; for kernels of one thread.
double best_seconds(NodeHarness& harness);

}  // namespace ingot
