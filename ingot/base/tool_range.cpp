#include "ingot/base/tool_range.h"

#ifdef INGOT_HAVE_NVTX
#include <nvtx3/nvToolsExt.h>
#endif

namespace ingot {

#ifdef INGOT_HAVE_NVTX
// NVTX asks for a tool at the first call (NVTX_INJECTION64_PATH names it) and remembers the answer.
ToolRange::ToolRange(const char* name) noexcept { nvtxRangePushA(name); }
ToolRange::~ToolRange() { nvtxRangePop(); }
#else
ToolRange::ToolRange(const char*) noexcept {}
ToolRange::~ToolRange() = default;
#endif

}  // namespace ingot
