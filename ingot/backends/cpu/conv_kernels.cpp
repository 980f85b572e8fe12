// The candidates for conv2d and its gradients, best first.
#include "ingot/backends/cpu/conv_blocked.h"
#include "ingot/backends/cpu/conv_depthwise.h"
#include "ingot/backends/cpu/conv_direct.h"
#include "ingot/backends/cpu/conv_onednn.h"
#include "ingot/backends/cpu/conv_streamed.h"
#include "ingot/backends/cpu/conv_winograd.h"
#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/base/planted_bug.h"

namespace ingot {
namespace {

/// Bugs are planted in the direct kernels, which take everything.
KernelCandidate unless_planted(KernelCandidate candidate) {
  if constexpr (kPlantedBugsAvailable) {
    candidate.supports = [supports = candidate.supports](const Node& node, const Backend& backend) {
      return planted_bug() == PlantedBug::none
                 ? supports(node, backend)
                 : Support::no("leaves a planted bug to the direct kernel");
    };
  }
  return candidate;
}

}  // namespace

void register_conv_kernels(KernelTable& table) {
  const auto ops = {"conv2d", "conv2d_input_grad", "conv2d_weight_grad"};
  table.register_kernel("conv2d", unless_planted(cpu::streamed_conv_candidate()));
  for (const std::string_view op : ops) {
    table.register_kernel(op, unless_planted(cpu::winograd_conv_candidate()));
  }
  table.register_kernel("conv2d_weight_grad", unless_planted(cpu::blocked_weight_grad_candidate()));
  table.register_kernel("conv2d_weight_grad",
                        unless_planted(cpu::pointwise_weight_grad_candidate()));
  for (const std::string_view op : ops) {
    table.register_kernel(op, unless_planted(cpu::depthwise_conv_candidate()));
#ifdef INGOT_HAVE_ONEDNN
    table.register_kernel(op, unless_planted(cpu::onednn_conv_candidate()));
#endif
  }
  table.register_kernel("conv2d_weight_grad",
                        unless_planted(cpu::any_pointwise_weight_grad_candidate()));
  for (const std::string_view op : ops) table.register_kernel(op, cpu::direct_conv_candidate());
}

}  // namespace ingot
