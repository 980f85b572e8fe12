// The inside of an Executable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ingot/base/step_error.h"
#include "ingot/engine/compile.h"
#include "ingot/engine/executable.h"
#include "ingot/memory/buffer.h"
#include "ingot/runtime/backend.h"
#include "ingot/runtime/program.h"
#include "ingot/runtime/runner.h"

namespace ingot {

/// Orders the lowered Graph, creates Kernels, decides what shares memory, plans the arena.
Program build_program(std::unique_ptr<Graph> lowered, const Backend& backend,
                      StepForm form = StepForm::latency);

struct Executable::Impl {
  Program program;
  VariableStore* store = nullptr;
  std::shared_ptr<Backend> backend;
  CompileOptions options;
  Buffer constants;
  int scratch_version = -1;
  std::vector<std::byte*> addresses;  ///< by slot
  std::vector<Segment*> assigned;     ///< variables that a step writes
  std::vector<VariableCopy*> copies;  ///< Program::kept
  std::vector<FeedMemory> fed;        ///< by feed, in the current call
  StepErrorLatch errors;
  StepRing ring;
  std::int64_t steps = 0;
  bool ran = false;
  /// Null: the kernels run on the host, one after another, in run_once().
  std::unique_ptr<Runner> runner;

  Impl(Program p, VariableStore& s, const CompileOptions& o);
  ~Impl();

  void upload_constants();
  void resolve_addresses();
  /// Makes every copy that the steps read current.
  void refresh_copies();
  void check_feeds(std::span<const Feed> given, int count);
  void set_feed(std::size_t feed, const std::byte* data) noexcept;
  /// Of the feeds that were checked.
  void run_steps(int count);
  void run_once();
  void run_launches(std::vector<Launch>& launches) noexcept;
  void copy(const std::vector<SlotCopy>& list) noexcept;
  /// Whether kernels are measured.
  [[nodiscard]] bool profiled() const noexcept;
  [[nodiscard]] std::vector<KernelTime> kernel_times() const;
  void trace_kernels() const;
  [[nodiscard]] double scalar(int slot) const noexcept;
  [[nodiscard]] bool scalars_finite() const noexcept;
  /// Waits for a Runner's steps, takes their scalars into the ring and throws what failed.
  void settle();

  // diagnose.cpp
  [[noreturn]] void throw_data_error(const StepError& error) const;
  [[noreturn]] void throw_numerics_error();
  [[noreturn]] void throw_runner_failure(const StepFailure& failure);
  void trace_numerics();
  [[nodiscard]] HostTensor slot_value(int slot) const;
};

}  // namespace ingot
