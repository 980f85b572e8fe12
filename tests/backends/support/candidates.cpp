#include "tests/backends/support/candidates.h"

#include "ingot/ir/op_def.h"

namespace ingot {

Support candidate_support(const Backend& backend, const Node& node, std::string_view candidate) {
  for (const KernelCandidate& entry : backend.kernels().candidates(node.op().name)) {
    if (entry.name == candidate) return entry.supports(node, backend);
  }
  return Support::no("not in the table");
}

}  // namespace ingot
