// The Kernels of one kind of device, and what the compiler may ask of it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/base/function_ref.h"
#include "ingot/ir/target.h"
#include "ingot/memory/buffer_pool.h"
#include "ingot/memory/device.h"
#include "ingot/runtime/kernel.h"
#include "ingot/runtime/kernel_choices.h"
#include "ingot/runtime/kernel_table.h"
#include "ingot/runtime/runner.h"

namespace ingot {

struct BackendOptions {
  /// 0: INGOT_THREADS, or the number of cores.
  int threads = 0;
  /// Whether kernels are timed to choose among them; the CPU's alone.
  Tune tune = Tune::off;
  /// What was chosen before, and where choices are added; null: the backend's own.
  std::shared_ptr<KernelChoices> choices = nullptr;
  /// Kernels that wait for one another and are not Ingot's, NCCL's for one, run on this GPU while
  /// steps do: as long as this backend lives, a step of one kernel waits until all its blocks can
  /// run at once, and no longer begins while the one before it ends. Other processes are no matter,
  /// except under MPS, which is noticed.
  bool shares_gpu = false;
};

class Backend : public Target {
 public:
  [[nodiscard]] virtual std::shared_ptr<Device> device() const = 0;
  [[nodiscard]] virtual const KernelTable& kernels() const = 0;
  /// Threads that kernels use.
  [[nodiscard]] virtual int threads() const noexcept = 0;
  /// Facts for `ingot doctor`: pairs of (what, value), e.g. ("simd", "AVX2").
  [[nodiscard]] virtual std::vector<std::pair<std::string, std::string>> facts() const = 0;

  /// Runs whole Programs; null where the engine may call Kernel::run on the host itself.
  [[nodiscard]] virtual std::unique_ptr<Runner> make_runner(const RunnerRequest& request) const;
  /// Whether Values that are never live together share memory, given what they take together.
  [[nodiscard]] virtual bool reuses_memory(std::int64_t total_bytes) const noexcept;
  /// By how many launches work of the Runner may lag behind the program's order: for so long memory
  /// stays with its last user.
  [[nodiscard]] virtual int lag() const noexcept { return 0; }

  /// The candidate of the table that runs the Node: the first that supports it, unless the backend
  /// chooses(). Null when none does. `refused` hears of those that do not, with the reason.
  using Refusal = FunctionRef<void(const KernelCandidate&, const std::string& reason)>;
  [[nodiscard]] const KernelCandidate* find_candidate(const Node& node, Refusal refused) const;
  /// Its kernel; each refusal goes to the dispatch trace. Errors: unsupported, with every
  /// candidate's reason.
  [[nodiscard]] std::unique_ptr<Kernel> create_kernel(const KernelProblem& problem) const;
  [[nodiscard]] Support supports(const Node& node) const override;

 protected:
  /// Whether choose() is asked.
  [[nodiscard]] virtual bool chooses() const noexcept { return false; }
  /// One of the candidates that support the Node, in the table's order; at least one.
  [[nodiscard]] virtual const KernelCandidate& choose(
      const Node& node, std::span<const KernelCandidate* const> able) const;
};

/// The backend of a device by name ("cpu", "reference"). Errors: unknown name (user), with the
/// names there are.
std::shared_ptr<Backend> make_backend(std::string_view device, const BackendOptions& options = {});
/// Names that make_backend knows.
std::vector<std::string> backend_names();

}  // namespace ingot
