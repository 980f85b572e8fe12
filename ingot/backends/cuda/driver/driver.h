// The CUDA driver's functions, found at run time.
#pragma once

#include <cuda.h>

#include <string>
#include <string_view>

namespace ingot::cuda {

/// The functions that Ingot calls, by their names without the prefix `cu`.
struct Driver {
// NOLINTNEXTLINE(bugprone-macro-parentheses): it declares the name
#define INGOT_CUDA_DRIVER(name, symbol) decltype(&::cu##name) name = nullptr;
#include "ingot/backends/cuda/driver/driver.inc"
#undef INGOT_CUDA_DRIVER
};

/// The driver, initialised; loaded at the first call. Errors: unsupported, with what is missing.
const Driver& driver();

/// Throws an internal Error `cuda: WHAT must succeed, got NAME (TEXT)`; out_of_memory as such. What
/// a kernel did wrong may be reported by any later call: help says how to find it.
void check(CUresult result, std::string_view what);

}  // namespace ingot::cuda
