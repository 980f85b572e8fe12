// The families of CPU kernels, from cpu_kernels.inc, and what they share.
#pragma once

#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/runtime/kernel_table.h"

namespace ingot {

#define INGOT_CPU_KERNELS(family) void register_##family##_kernels(KernelTable& table);
#include "ingot/backends/cpu/cpu_kernels.inc"
#undef INGOT_CPU_KERNELS

/// The CPU's KernelTable is only ever used by a CpuBackend.
inline const CpuBackend& as_cpu(const Backend& backend) noexcept {
  return static_cast<const CpuBackend&>(backend);
}

/// For kernels that read and write plain memory alone.
Support require_plain(const Node& node, const Backend& backend);
/// For kernels that take a layout only where the shape fills its blocks.
Support require_unpadded(const Shape& shape, const Layout& layout);

}  // namespace ingot
