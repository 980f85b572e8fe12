// The compiler that makes kernels for the CPU.
#pragma once

#include <cstdlib>
#include <string>

namespace ingot::emulator {

inline constexpr const char* kFlags =
    "-std=c++20 -O1 -shared -fPIC -w -fno-strict-aliasing -fno-exceptions -fno-rtti "
    "-fno-threadsafe-statics -ffp-contract=off -fvisibility=hidden";

/// INGOT_EMULATOR_CXX, or the one that built the emulator.
inline std::string compiler() {
  const char* own = std::getenv("INGOT_EMULATOR_CXX");
  return own != nullptr ? own : INGOT_EMULATOR_COMPILER;
}

inline bool compiler_works() {
  return std::system((compiler() + " --version > /dev/null 2>&1").c_str()) == 0;
}

}  // namespace ingot::emulator
