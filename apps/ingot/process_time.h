// What the operating system says of this process.
#pragma once

#include <cstdint>

namespace ingot::cli {

/// Seconds since the process was started, loading of libraries included; from /proc where there is
/// one (to 10 ms), else from the first call of the program's own code.
double seconds_since_process_start();

/// Greatest resident memory so far, in bytes.
std::int64_t peak_resident_bytes();

}  // namespace ingot::cli
