// Compiling generated kernels, and keeping what was compiled.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::cuda {

struct CompiledKernels {
  std::vector<char> code;
  bool cached = false;  ///< by an earlier run
};
/// Machine code of `source` for compute capability `arch` (90 for 9.0; chip-specific features on),
/// from the cache in the user's cache folder when it is there. Errors: unsupported without NVRTC;
/// internal with the compiler's log.
CompiledKernels compile_kernels(const std::string& source, int arch);
/// The same of each, several at once.
std::vector<CompiledKernels> compile_kernels(std::span<const std::string> sources, int arch);
/// The same, never from the cache.
std::vector<char> compile_uncached(const std::string& source, int arch);
/// Why kernels cannot be compiled; empty when they can.
std::string compiler_trouble();
/// "13.0 from libnvrtc.so.13"
std::string compiler_description();

}  // namespace ingot::cuda
