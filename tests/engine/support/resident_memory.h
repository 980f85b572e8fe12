// How much of the process lies in memory.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace ingot::testing_support {

/// Bytes; 0 where /proc does not say.
inline std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t total = 0;
  std::int64_t resident = 0;
  if (!(statm >> total >> resident)) return 0;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace ingot::testing_support
