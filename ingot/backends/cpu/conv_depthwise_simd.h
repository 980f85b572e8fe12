// The inner loops of depthwise weight gradients, in SIMD code for the CPU at hand.
#pragma once

#include <cstdint>

#include "ingot/backends/cpu/conv_problem.h"

namespace ingot::cpu {

/// Adds what one block of channels of one image gives to `w` [taps][block]; `x` and `g` are planes
/// of [pixels][block]. 8 or 16 channels a block.
using DepthwisePlane = void (*)(const ConvProblem& problem, std::int64_t block, const float* x,
                                const float* g, float* w);
DepthwisePlane depthwise_plane();

}  // namespace ingot::cpu
