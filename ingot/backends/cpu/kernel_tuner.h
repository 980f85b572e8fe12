// Chooses kernels by timing those that can run a Node.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "ingot/runtime/backend.h"

namespace ingot {

class CpuBackend;

class KernelTuner {
 public:
  KernelTuner(Tune effort, std::shared_ptr<KernelChoices> choices)
      : effort_(effort), choices_(std::move(choices)) {}

  /// One of the candidates that support the Node, best first by the rules: the one that was chosen
  /// before, else the fastest on random operands in this backend's threads. Another than the first
  /// must be clearly faster.
  [[nodiscard]] const KernelCandidate& choose(const Node& node,
                                              std::span<const KernelCandidate* const> able,
                                              const CpuBackend& backend) const;
  /// What a choice depends on: op, attributes, types, layouts, threads, vector instructions,
  /// versions and the effort.
  [[nodiscard]] std::string problem(const Node& node, const CpuBackend& backend) const;

 private:
  Tune effort_;
  std::shared_ptr<KernelChoices> choices_;
};

}  // namespace ingot
