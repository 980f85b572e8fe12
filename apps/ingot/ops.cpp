// `ingot ops`: which op runs where.
#include <cstdio>
#include <string>

#include "apps/ingot/commands.h"
#include "ingot/base/error.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/registry.h"
#include "ingot/runtime/backend.h"

namespace ingot::cli {

int run_ops(const OpsOptions&) {
  std::vector<std::pair<std::string, std::shared_ptr<Backend>>> backends;
  for (const std::string& name : backend_names()) {
    try {
      backends.emplace_back(name, make_backend(name));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unsupported) throw;
      std::fprintf(stderr, "ingot: %s is left out: %s\n", name.c_str(), error.message().c_str());
    }
  }
  std::printf("%-28s", "op");
  for (const auto& [name, backend] : backends) std::printf(" %-32s", name.c_str());
  std::printf(" summary\n");
  for (const OpDef* op : all_ops()) {
    if (op->traits.source || op->traits.side_effect) continue;
    std::printf("%-28s", std::string(op->name).c_str());
    for (const auto& [name, backend] : backends) {
      std::string cell;
      for (const KernelCandidate& candidate : backend->kernels().candidates(op->name)) {
        cell += (cell.empty() ? "" : ", ") + std::string(candidate.name);
      }
      if (cell.empty()) cell = op->traits.composite ? "(its body)" : "-";
      std::printf(" %-32s", cell.c_str());
    }
    std::printf(" %s\n", std::string(op->summary).c_str());
  }
  return 0;
}

}  // namespace ingot::cli
