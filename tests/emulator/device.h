// CUDA C++ on the CPU: what a generated kernel finds in place of NVRTC's built-ins. The emulated
// NVRTC puts it in front of the kernels' text, whose declarations of shared memory and kernels it
// rewrites; see rewrite.h.
#pragma once

#include "tests/emulator/device_math.h"
#include "tests/emulator/device_types.h"
#include "tests/emulator/kernel_interface.h"

#define INGOT_EMULATED 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __grid_constant__
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __restrict__ __restrict
#define __constant__ static

namespace ingot::emulator {

inline const Services* table = nullptr;
inline unsigned fixed_used = 0;

inline Thread& here() { return **table->current; }
/// A place for a `__shared__` variable, the same in every block.
inline unsigned reserve(unsigned bytes) {
  const unsigned at = (fixed_used + 127) / 128 * 128;
  fixed_used = at + bytes;
  if (fixed_used > kFixedSharedBytes) table->fail("more shared variables than there is room for");
  return at;
}

template <class F>
struct Caller;
template <class... A>
struct Caller<void (*)(A...)> {
  template <unsigned... I>
  struct List {};
  template <unsigned N, unsigned... I>
  struct Make : Make<N - 1, N - 1, I...> {};
  template <unsigned... I>
  struct Make<0, I...> {
    using type = List<I...>;
  };
  template <unsigned... I>
  static void spread(void (*kernel)(A...), void** arguments, List<I...>) {
    kernel(*(A*)arguments[I]...);
  }
  static void call(void (*kernel)(A...), void** arguments) {
    spread(kernel, arguments, typename Make<sizeof...(A)>::type{});
  }
  static unsigned sizes(unsigned* out) {
    const unsigned bytes[] = {sizeof(A)..., 0};
    for (unsigned i = 0; i < sizeof...(A); ++i) out[i] = bytes[i];
    return sizeof...(A);
  }
};

}  // namespace ingot::emulator

extern "C" __attribute__((visibility("default"))) void ingot_emulator_attach(
    const ingot::emulator::Services* services) {
  ingot::emulator::table = services;
}

#define threadIdx (ingot::emulator::here().thread)
#define blockIdx (ingot::emulator::here().block)
#define blockDim (ingot::emulator::here().block_size)
#define gridDim (ingot::emulator::here().grid)
inline const int warpSize = 32;

#include "tests/emulator/device_warp.h"
#include "tests/emulator/intrinsics.h"
#include "tests/emulator/mma_intrinsics.h"
