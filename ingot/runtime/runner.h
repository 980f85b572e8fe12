// How a backend runs a whole Program by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ingot/base/function_ref.h"
#include "ingot/base/step_error.h"
#include "ingot/runtime/kernel_time.h"
#include "ingot/runtime/program_stats.h"

namespace ingot {

struct Program;
class VariableStore;

/// One feed of a call: where it lies and how far one stacked step is from the next.
struct FeedMemory {
  const std::byte* data = nullptr;
  std::int64_t stride = 0;  ///< bytes, 0: every step reads the same
  bool on_device = false;
};

/// The first step of those enqueued that failed. It and the steps after it changed no variable.
struct StepFailure {
  std::int64_t step = 0;
  /// node < 0: no rule was broken, but a scalar fetch is not finite.
  StepError error;
};

/// What a Runner is made from; everything outlives it. Addresses of feeds are null.
struct RunnerRequest {
  const Program& program;
  VariableStore& store;
  std::span<std::byte* const> addresses;
  bool check_numerics = true;
  std::size_t ring_capacity = 0;
  bool profile = false;  ///< measure each kernel; a step may take longer
};

/// Runs the Program's steps on a device, asynchronously, in order. Calls come from one thread.
class Runner {
 public:
  /// Gets a step's number and its scalar fetches in the order of their ring indices.
  using ScalarSink = FunctionRef<void(std::int64_t step, std::span<const double> values)>;

  Runner() = default;
  virtual ~Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// Enqueues `steps` steps, numbered from where the last call ended. Host memory of feeds may be
  /// reused when it returns; device memory once wait() has returned. Throws what the device
  /// refuses; allocates nothing after the first call.
  virtual void run(int steps, std::span<const FeedMemory> feeds) = 0;
  /// Enqueues the Program's `refresh` launches.
  virtual void refresh() = 0;
  /// Blocks until every enqueued step is done and hands over the scalars of those that have not
  /// been handed over, at most `ring_capacity` of them. After a failure the numbering goes on from
  /// the failed step.
  virtual std::optional<StepFailure> wait(ScalarSink sink) = 0;
  /// The slots' memory moved.
  virtual void rebind(std::span<std::byte* const> addresses) = 0;
  /// Where a slot's value lies on the device; feeds too.
  [[nodiscard]] virtual const std::byte* address(int slot) const = 0;
  /// Device memory of its own, by what it is for, once a call of `steps` steps with such feeds has
  /// run (only their `data` does not matter); further calls like it add nothing.
  [[nodiscard]] virtual std::vector<MemoryOwner> memory(
      int steps, std::span<const FeedMemory> feeds) const = 0;
  /// Nodes that the device is given for one step.
  [[nodiscard]] virtual int nodes() const noexcept = 0;
  /// Where the code of generated kernels came from.
  [[nodiscard]] virtual CodeModules modules() const noexcept { return {}; }
  /// What a profile has measured of the steps that wait() has seen; empty without one.
  [[nodiscard]] virtual std::vector<KernelTime> kernel_times() const { return {}; }
};

}  // namespace ingot
