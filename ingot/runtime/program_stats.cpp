#include "ingot/runtime/program_stats.h"

#include <fmt/core.h>

#include "ingot/base/error.h"

namespace ingot {

void require_as_planned(std::span<const MemoryOwner> planned, std::int64_t allocated) {
  const std::int64_t total = total_bytes(planned);
  if (allocated == total) return;
  throw internal_error(fmt::format(
      "device memory: bytes allocated must be those planned, got {} and {}", allocated, total));
}

}  // namespace ingot
