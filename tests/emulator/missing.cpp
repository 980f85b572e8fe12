// Driver functions that Ingot calls, as far as driver.cpp does not have them.
#include <cuda.h>

// The symbol is weak, so that driver.cpp's goes first; the name here is another one, because cuda.h
// has declared the function already.
#define INGOT_CUDA_DRIVER(name, symbol)                                             \
  extern "C" __attribute__((weak)) CUresult ingot_missing_##name() __asm__(symbol); \
  CUresult ingot_missing_##name() { return CUDA_ERROR_NOT_SUPPORTED; }
#include "ingot/backends/cuda/driver/driver.inc"
#undef INGOT_CUDA_DRIVER
