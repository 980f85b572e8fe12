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
#include "ingot/runtime/kernel_time.h"
#include "ingot/runtime/program_stats.h"

namespace ingot {

class Tensor;
class VariableStore;
class Graph;

/// Memory for a placeholder. The buffer may be larger than needed. `type`, when given, must be the
/// placeholder's.
struct Feed {
  std::string_view name;
  const void* data = nullptr;
  std::size_t bytes = 0;
  std::optional<TensorType> type = std::nullopt;
  /// `data` is memory of the store's device, not of the host. From the call until the step is done
  /// nothing changes it, steps still under way included; the device reads it in place.
  bool on_device = false;
};

/// How a call is fed, for a plan of memory: all feeds alike.
struct FeedPlace {
  bool on_device = false;
  int steps = 1;  ///< in one call; above 1: with stacked feeds
};

/// A Tensor's memory for a placeholder of its type; it must outlive the run. Errors: those of using
/// the Tensor.
Feed feed_of(std::string_view name, const Tensor& tensor);

/// Immutable after compile(); runs are serialised by the caller. Feeds are checked before anything
/// runs: a missing, an unknown, a too small one or a wrong type is an Error (user, invalid_feed).
/// A step that fails (a rule only data can break, or a float scalar fetch that is not finite)
/// throws an Error naming the first Node that met it, and leaves every variable as it was.
class Executable {
 public:
  ~Executable();
  Executable(Executable&&) noexcept;
  Executable& operator=(Executable&&) noexcept;

  /// One run of the Graph: fetches, assigns. Allocates nothing when it succeeds. Blocking where the
  /// device is the host. Elsewhere it only enqueues: a failure is thrown by wait(), losses(),
  /// fetched() or a later run, and steps enqueued after the failed one are called off with it.
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

  /// Blocks until everything enqueued is done; throws what failed.
  void wait();
  /// Value of a fetch after the last run. Errors: unknown name.
  [[nodiscard]] HostTensor fetched(std::string_view name) const;
  /// Address of a fetch's packed value on the device, valid until the next run.
  [[nodiscard]] const std::byte* fetched_data(std::string_view name) const;
  /// The scalar fetches of the last steps, after wait().
  [[nodiscard]] StepRing& losses();

  [[nodiscard]] const ProgramStats& stats() const noexcept;
  /// All that this Executable allocates on the device beside what its store does, by what it is
  /// for, known before the first run: that run allocates what is missing, and later runs fed alike
  /// nothing. With VariableStore::device_memory() of the store that several Executables share, it
  /// is every byte that Ingot takes there.
  [[nodiscard]] std::vector<MemoryOwner> device_memory(const FeedPlace& feeds = {}) const;
  /// Each kernel's part of a step, in order, with CompileOptions::profile; else empty.
  [[nodiscard]] std::vector<KernelTime> kernel_times() const;
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
