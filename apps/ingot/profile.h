// Times of kernels as a file.
#pragma once

#include <string>
#include <vector>

#include "ingot/runtime/kernel_time.h"

namespace ingot::cli {

/// One step as a trace that chrome://tracing and Perfetto open: an event a kernel, one after the
/// other, with a row for each lane.
void write_profile(const std::string& file, const std::vector<KernelTime>& times);

}  // namespace ingot::cli
