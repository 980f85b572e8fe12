// Ingot's own convolutions: any shape, stride, dilation, padding, number of groups and layout.
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "ingot/backends/cpu/conv_direct_plan.h"
#include "ingot/backends/cpu/conv_direct_simd.h"
#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/base/planted_bug.h"
#include "ingot/runtime/kernel_table.h"

namespace ingot::cpu {

/// For conv2d and its two gradients; f32 and f64.
KernelCandidate direct_conv_candidate();

/// Slots of the operands and the result, whichever of them is which.
struct ConvSlots {
  int x = 0, w = 0, y = 0;
  explicit ConvSlots(const KernelProblem& problem);
};

/// Positions of the elements of OIHW weights in their layout.
struct WeightOffsets {
  std::vector<std::int64_t> out, in, taps;
  explicit WeightOffsets(const Node::Output& weights);

  /// Whether a planted bug leaves the tap out.
  [[nodiscard]] bool drops(std::int64_t tap) const noexcept {
    return planted_bug() == PlantedBug::dropped_conv_tap && tap > 0 && tap + 1 == std::ssize(taps);
  }
  [[nodiscard]] std::int64_t at(std::int64_t o, std::int64_t i, std::int64_t tap) const noexcept {
    return out[static_cast<std::size_t>(o)] + in[static_cast<std::size_t>(i)] +
           taps[static_cast<std::size_t>(tap)];
  }
};

/// conv2d or conv2d_input_grad.
std::unique_ptr<Kernel> make_direct_correlate(const KernelProblem& problem,
                                              const CpuBackend& backend);
/// conv2d_weight_grad.
std::unique_ptr<Kernel> make_direct_weight_grad(const KernelProblem& problem,
                                                const CpuBackend& backend);

}  // namespace ingot::cpu
