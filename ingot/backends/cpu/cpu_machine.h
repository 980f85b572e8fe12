// What the CPU at hand is.
#pragma once

#include <cstdint>
#include <string>

#include "ingot/ir/target.h"

namespace ingot {

/// Data caches of one core (L3: shared); what the system does not tell keeps CacheSizes' default.
CacheSizes read_cache_sizes();
/// How far the processor's vector instructions are used, in the order of INGOT_SIMD's choices.
enum class SimdLimit : std::uint8_t { best, avx2, baseline };
/// Keeps our kernels and oneDNN to a limit, for the whole process. Errors (user): oneDNN was used
/// before, and takes none any more.
void limit_simd(SimdLimit limit);
/// Does so once, as INGOT_SIMD says; every CpuBackend makes this call before anything else. Errors
/// (user): also a malformed value.
void limit_simd();
/// Name of the instruction set that the SIMD kernels were dispatched to: "AVX3", "AVX2", "NEON".
std::string simd_target_name();
/// Those that the processor has and INGOT_SIMD leaves, "SSSE3 SSE4 AVX2", whether compiled in or
/// not.
std::string simd_targets();
/// f32 lanes of its vectors.
int simd_f32_lanes();
/// "1.0.3"
std::string highway_version();
/// "2.6.3"; empty when oneDNN is not compiled in.
std::string onednn_version();
/// Limits the calling thread's OpenMP teams, which oneDNN uses, to one thread: Ingot's own threads
/// are the only parallelism. Does nothing without oneDNN.
void limit_library_threads();

}  // namespace ingot
