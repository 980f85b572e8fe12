// The candidates for matmul, best first.
#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/matmul_direct.h"

namespace ingot {

void register_matmul_kernels(KernelTable& table) {
  table.register_kernel("matmul", cpu::direct_matmul_candidate());
  table.register_kernel("matmul", cpu::panels_matmul_candidate());
}

}  // namespace ingot
