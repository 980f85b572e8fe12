// A bound, runnable Program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/base/host_view.h"
#include "ingot/base/shape.h"
#include "ingot/engine/step_ring.h"

namespace ingot {

class VariableStore;
class Graph;

/// Memory for a placeholder. The buffer may be larger than needed. `type`, when given, must be the
/// placeholder's.
struct Feed {
  std::string_view name;
  const void* data = nullptr;
  std::size_t bytes = 0;
  std::optional<TensorType> type = std::nullopt;
};

/// One buffer or workspace of the plan.
struct MemoryOwner {
  std::string name;
  std::int64_t bytes = 0;
};

/// What compile() decided, for reports and tests.
struct ProgramStats {
  int kernels = 0;
  int reorders = 0;             ///< of activations and weights, in the whole step
  int elementwise_kernels = 0;  ///< stand-alone elementwise ones
  double flops = 0;
  std::int64_t variable_bytes = 0;
  std::int64_t constant_bytes = 0;
  std::int64_t arena_bytes = 0;           ///< scratch arena, workspaces included
  std::int64_t live_peak_bytes = 0;       ///< maximum over time of what is live in it
  std::vector<MemoryOwner> largest;       ///< the ten largest owners when the arena is fullest
  std::vector<std::string> kernel_names;  ///< in order: `op "node": implementation`
};

/// Immutable after compile(); runs are serialised by the caller. Feeds are checked before anything
/// runs: a missing, an unknown, a too small one or a wrong type is an Error (user, invalid_feed).
/// A step that fails (a rule only data can break, or a float scalar fetch that is not finite)
/// throws an Error naming the first Node that met it, and leaves every variable as it was.
class Executable {
 public:
  ~Executable();
  Executable(Executable&&) noexcept;
  Executable& operator=(Executable&&) noexcept;

  /// One run of the Graph: fetches, assigns. Blocking; allocates nothing when it succeeds.
  void run(std::span<const Feed> feeds);
  void run(std::initializer_list<Feed> feeds) { run(std::span(feeds.begin(), feeds.size())); }
  /// The same; scalar fetches go to losses().
  void step(std::span<const Feed> feeds) { run(feeds); }
  void step(std::initializer_list<Feed> feeds) { run(feeds); }
  /// `steps` runs in one call. A feed whose buffer holds `steps` times the placeholder's bytes (and
  /// whose `type`, if given, has a leading dimension `steps`) is stacked: run k sees slice k; a
  /// smaller one is the same for all.
  void run_steps(int steps, std::span<const Feed> feeds);
  void run_steps(int steps, std::initializer_list<Feed> feeds) {
    run_steps(steps, std::span(feeds.begin(), feeds.size()));
  }

  /// Value of a fetch after the last run. Errors: unknown name.
  [[nodiscard]] HostTensor fetched(std::string_view name) const;
  /// Address of a fetch's packed value on the device, valid until the next run.
  [[nodiscard]] const std::byte* fetched_data(std::string_view name) const;
  /// The scalar fetches of the last steps.
  [[nodiscard]] StepRing& losses() noexcept;

  [[nodiscard]] const ProgramStats& stats() const noexcept;
  /// The Graph after all passes.
  [[nodiscard]] const Graph& lowered() const noexcept;
  [[nodiscard]] std::int64_t steps_run() const noexcept;

 private:
  friend class ExecutableBuilder;
  struct Impl;
  explicit Executable(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot
