// What compile() decided, for reports and tests.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ingot {

/// One buffer or workspace of the plan.
struct MemoryOwner {
  std::string name;
  std::int64_t bytes = 0;
};

/// Of all owners together.
inline std::int64_t total_bytes(std::span<const MemoryOwner> owners) noexcept {
  std::int64_t total = 0;
  for (const MemoryOwner& owner : owners) total += owner.bytes;
  return total;
}

/// Errors: internal, where what was allocated is not what was planned.
void require_as_planned(std::span<const MemoryOwner> planned, std::int64_t allocated);

/// Generated code for a device, in the pieces that are loaded.
struct CodeModules {
  int compiled = 0;  ///< now
  int cached = 0;    ///< compiled by an earlier run
};

struct ProgramStats {
  int kernels = 0;
  int reorders = 0;             ///< of activations and weights, in the whole step
  int elementwise_kernels = 0;  ///< stand-alone elementwise ones
  /// What the device is given for one step: kernels, or the few nodes that stand for them.
  int device_nodes = 0;
  CodeModules modules;
  double flops = 0;
  std::int64_t bytes_moved = 0;  ///< into and out of every kernel, or Region that runs as one
  std::int64_t variable_bytes = 0;
  std::int64_t constant_bytes = 0;
  std::int64_t arena_bytes = 0;           ///< scratch arena, workspaces included
  std::int64_t live_peak_bytes = 0;       ///< maximum over time of what is live in it
  std::vector<MemoryOwner> largest;       ///< the ten largest owners when the arena is fullest
  std::vector<std::string> kernel_names;  ///< in order: `op "node": implementation`
};

}  // namespace ingot
