// Which implementations a backend has for each op, in order of preference.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ingot/ir/target.h"
#include "ingot/runtime/kernel.h"

namespace ingot {

class Backend;

struct KernelCandidate {
  std::string_view name;
  /// Says why not.
  std::function<Support(const Node&, const Backend&)> supports;
  std::function<std::unique_ptr<Kernel>(const KernelProblem&, const Backend&)> create;
};

class KernelTable {
 public:
  /// Appends a candidate for an op. A user's own kernels are registered so, too.
  void register_kernel(std::string_view op, KernelCandidate candidate);
  [[nodiscard]] std::span<const KernelCandidate> candidates(std::string_view op) const;

 private:
  std::unordered_map<std::string, std::vector<KernelCandidate>> by_op_;
};

}  // namespace ingot
