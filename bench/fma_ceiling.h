// What one core can do at most.
#pragma once

namespace ingot {

/// Seconds of processor time of the calling thread: unlike the clock, they do not count what other
/// processes do on the core.
double thread_seconds();

/// Measured flops a second of f32 multiply-adds on registers, on one core.
double fma_ceiling();

/// Measured bytes a second, read and written, of copying what fits no cache, on one core.
double copy_ceiling();

}  // namespace ingot
