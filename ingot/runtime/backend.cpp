#include "ingot/runtime/backend.h"

#include <fmt/core.h>

#include <utility>

#include "ingot/base/error.h"
#include "ingot/base/trace.h"
#include "ingot/ir/op_def.h"
#include "ingot/runtime/planted_kernel.h"

namespace ingot {

void KernelTable::register_kernel(std::string_view op, KernelCandidate candidate) {
  by_op_[std::string(op)].push_back(std::move(candidate));
}

std::span<const KernelCandidate> KernelTable::candidates(std::string_view op) const {
  const auto it = by_op_.find(std::string(op));
  return it == by_op_.end() ? std::span<const KernelCandidate>() : it->second;
}

std::unique_ptr<Runner> Backend::make_runner(const RunnerRequest&) const { return nullptr; }

bool Backend::reuses_memory(std::int64_t) const noexcept { return true; }

Support Backend::supports(const Node& node) const {
  std::string reasons;
  for (const KernelCandidate& candidate : kernels().candidates(node.op().name)) {
    const Support support = candidate.supports(node, *this);
    if (support) return support;
    if (!reasons.empty()) reasons += "; ";
    reasons += fmt::format("{}: {}", candidate.name, support.reason);
  }
  if (reasons.empty()) reasons = fmt::format("no kernel for {}", node.op().name);
  return Support::no(std::move(reasons));
}

const KernelCandidate& Backend::choose(const Node& node,
                                       std::span<const KernelCandidate* const> able) const {
  (void)node;
  return *able.front();
}

const KernelCandidate* Backend::find_candidate(const Node& node, Refusal refused) const {
  std::vector<const KernelCandidate*> able;
  for (const KernelCandidate& candidate : kernels().candidates(node.op().name)) {
    const Support support = candidate.supports(node, *this);
    if (!support) {
      refused(candidate, support.reason);
      continue;
    }
    if (!chooses()) return &candidate;
    able.push_back(&candidate);
  }
  return able.empty() ? nullptr : &choose(node, able);
}

std::unique_ptr<Kernel> Backend::create_kernel(const KernelProblem& problem) const {
  const Node& node = problem.node;
  const auto* const candidate =
      find_candidate(node, [&](const KernelCandidate& refusing, const std::string& reason) {
        if (!trace_enabled(Channel::dispatch)) return;
        trace(Channel::dispatch, fmt::format("{} \"{}\": not {}: {}", node.op().name, node.name(),
                                             refusing.name, reason));
      });
  if (candidate != nullptr) {
    auto kernel = candidate->create(problem, *this);
    if (trace_enabled(Channel::dispatch)) {
      trace(Channel::dispatch,
            fmt::format("{} \"{}\": {}", node.op().name, node.name(), kernel->name()));
    }
    return with_planted_bugs(std::move(kernel), problem);
  }
  throw_with_origin(
      unsupported_error(fmt::format("{} \"{}\": device \"{}\" must have a kernel, got none ({})",
                                    node.op().name, node.name(), name(), supports(node).reason)),
      node.origin());
}

}  // namespace ingot
