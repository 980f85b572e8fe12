// Stretches of the host's time under a name, for tools that listen through NVTX, such as NVIDIA
// Nsight Systems.
#pragma once

namespace ingot {

/// From its construction to its end on this thread. Costs a nanosecond or two where no tool
/// listens, and nothing in a build without NVTX's headers. `name` need not live longer.
class ToolRange {
 public:
  explicit ToolRange(const char* name) noexcept;
  ~ToolRange();
  ToolRange(const ToolRange&) = delete;
  ToolRange& operator=(const ToolRange&) = delete;
};

}  // namespace ingot
