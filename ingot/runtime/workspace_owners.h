// Who owns the memory inside a Kernel's workspace.
#pragma once

#include <vector>

#include "ingot/runtime/program_stats.h"

namespace ingot {

/// A Kernel that plans its own workspace, as one does that runs a Region's body Node by Node.
class WorkspaceOwners {
 public:
  virtual ~WorkspaceOwners() = default;
  /// Of what is live when the workspace is fullest, for all threads together.
  [[nodiscard]] virtual std::vector<MemoryOwner> workspace_owners() const = 0;

 protected:
  WorkspaceOwners() = default;
  WorkspaceOwners(const WorkspaceOwners&) = default;
  WorkspaceOwners& operator=(const WorkspaceOwners&) = default;
};

}  // namespace ingot
