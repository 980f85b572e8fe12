// Which of Highway's targets our SIMD files are compiled for. Included before any hwy header, and
// inside the re-inclusions of foreach_target.h: no include guard needed beyond the macro's own.
#pragma once

// A baseline (scalar, NEON), AVX2 and AVX-512 are enough; each further target costs compile time in
// every SIMD file.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
