#include "apps/ingot/process_time.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <string>

namespace ingot::cli {
namespace {

const auto kLoaded = std::chrono::steady_clock::now();

}  // namespace

double seconds_since_process_start() {
#ifdef __linux__
  // Field 22 of /proc/self/stat: start time in clock ticks since boot (proc(5)). The name in field
  // 2 may contain spaces, so count from its closing bracket.
  std::ifstream file("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (const auto bracket = text.rfind(')'); bracket != std::string::npos) {
    std::istringstream fields(text.substr(bracket + 1));
    std::string field;
    for (int i = 3; i <= 22; ++i) fields >> field;
    timespec now{};
    if (fields && clock_gettime(CLOCK_BOOTTIME, &now) == 0) {
      const double started = std::stod(field) / static_cast<double>(sysconf(_SC_CLK_TCK));
      return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) - started;
    }
  }
#endif
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - kLoaded).count();
}

std::int64_t peak_resident_bytes() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
#ifdef __APPLE__
  return usage.ru_maxrss;
#else
  return std::int64_t{usage.ru_maxrss} * 1024;
#endif
}

}  // namespace ingot::cli
