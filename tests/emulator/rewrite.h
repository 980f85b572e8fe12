// Text of CUDA kernels made fit for a C++ compiler.
#pragma once

#include <string>

namespace ingot::emulator {

/// Replaces declarations of shared memory and adds, before each kernel NAME, the functions
/// ingot_call_NAME, ingot_sizes_NAME and ingot_cluster_NAME, by which the driver starts it. The
/// rest is device.h's.
std::string rewrite_kernels(const std::string& source);

}  // namespace ingot::emulator
