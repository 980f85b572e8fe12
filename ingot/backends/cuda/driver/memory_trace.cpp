#include "ingot/backends/cuda/driver/memory_trace.h"

#include <fmt/core.h>

#include <cstdlib>
#include <utility>

#include "ingot/base/trace.h"

namespace ingot::cuda {

bool MemoryTrace::on() noexcept { return trace_enabled(Channel::memory); }

void MemoryTrace::mark(const CudaDevice& device, std::string_view what) {
  if (!on()) return;
  constexpr double kMebibyte = 1 << 20;
  const MemoryInfo info = device.memory_info();
  const auto now = static_cast<std::int64_t>(info.total_bytes - info.free_bytes);
  const auto change = static_cast<double>(now - std::exchange(used_, now)) / kMebibyte;
  if (std::abs(change) < 1) return;
  trace(Channel::memory,
        fmt::format("device \"{}\": {:+.1f} MiB in use, {:.1f} in all: {}", device.name(), change,
                    static_cast<double>(now) / kMebibyte, what));
}

}  // namespace ingot::cuda
