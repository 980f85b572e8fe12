// The candidates for conv2d and its gradients, best first.
#include "ingot/backends/cpu/conv_blocked.h"
#include "ingot/backends/cpu/conv_direct.h"
#include "ingot/backends/cpu/conv_onednn.h"
#include "ingot/backends/cpu/cpu_kernels.h"

namespace ingot {

void register_conv_kernels(KernelTable& table) {
  table.register_kernel("conv2d_weight_grad", cpu::blocked_weight_grad_candidate());
  for (const std::string_view op : {"conv2d", "conv2d_input_grad", "conv2d_weight_grad"}) {
#ifdef INGOT_HAVE_ONEDNN
    table.register_kernel(op, cpu::onednn_conv_candidate());
#endif
    table.register_kernel(op, cpu::direct_conv_candidate());
  }
}

}  // namespace ingot
