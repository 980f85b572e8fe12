// Memory does not grow while a net trains.
#pragma once

#include <cstdint>

namespace ingot::testing_support {

/// Trains seed-cnn and EXPECTs that what of the process lies in memory after `steps` steps is
/// within 1 MiB of that after step 100; prints both. Skips the test where that says nothing.
void expect_steady_memory(int steps, std::int64_t batch);

}  // namespace ingot::testing_support
