// Runs a grid of threads on the calling thread, one after the other, each until it waits.
#pragma once

#include <string>

#include "tests/emulator/kernel_interface.h"

namespace ingot::emulator {

struct GridLaunch {
  void (*kernel)(void** arguments) = nullptr;
  void** arguments = nullptr;
  Index grid;
  Index block;
  unsigned shared_bytes = 0;
  unsigned cluster = 1;      ///< blocks of a cluster, along x
  bool cooperative = false;  ///< all blocks are alive at once
};

/// What went wrong; empty: nothing.
std::string run_grid(const GridLaunch& launch);

/// What kernels call.
const Services& services();

}  // namespace ingot::emulator
