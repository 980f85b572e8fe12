// The text of a step's kernels, and what their parameters stand for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ingot/backends/cuda/step/schedule.h"
#include "ingot/runtime/program.h"

namespace ingot::cuda {

/// Pointer::slot of the stages' tickets.
inline constexpr int kTickets = -2;

/// One pointer among a kernel's parameters: a slot's memory, or a place in the scratch arena or
/// among the tickets.
struct Pointer {
  int slot = -1;  ///< a root; -1: the arena at `offset`; kTickets: the tickets at `offset`
  std::int64_t offset = 0;
  friend bool operator==(const Pointer&, const Pointer&) = default;
};

/// Bytes that one kernel touches: of the scratch arena, or of a root slot with memory of its own.
struct Touch {
  int root = -1;  ///< -1: the arena
  std::int64_t begin = 0, end = 0;
  bool write = false;
};

/// What a counter of a profiled kernel counts, and the work that is done in that time by all
/// blocks.
struct TimedPart {
  std::string what;
  double flops = 0;
  double bytes = 0;  ///< read and written, wherever they lie
};

/// A kernel of the module, or a library's work. A kernel's parameters are, eight bytes each: the
/// pointers, one stride a feed, then control, ring, capacity, steps and the counters of a profiled
/// kernel.
struct KernelText {
  std::string name;
  std::size_t module = 0;         ///< whose text has it
  std::vector<std::string> what;  ///< stages, for reports
  std::vector<TimedPart> timed;   ///< of a profiled kernel, a counter each
  std::vector<Pointer> pointers;
  std::int64_t blocks = 1;  ///< wanted; one whose blocks wait gets at most what fits at once
  int threads = kThreads;
  int shared_bytes = 0;
  bool cooperative = false;
  /// A kernel of one stage: what it reads and writes; the device's Control is root kControl.
  std::vector<Touch> touches;
  double seconds = 0;  ///< expected, roughly
  double flops = 0;
  double flops_of_cycle = kVectorFlops;  ///< at most, of a multiprocessor
  /// Does the work; the pointers are its memory.
  std::shared_ptr<const LibraryCall> library = {};
};

/// Touch::root of the control record, in which failures are latched.
inline constexpr int kControl = -2;

struct StepSource {
  std::vector<std::string> texts;   ///< one a module; a compiler can take them at once
  std::vector<KernelText> kernels;  ///< in order; equal ones share a name
  std::vector<KernelText> refresh;  ///< apart from the step: what makes weights' copies current
  std::int64_t ticket_bytes = 0;    ///< of all stages; memory that is zero before the first step
  double cycles = 0;
};

struct SourceOptions {
  bool check_numerics = true;
  /// Block 0 adds up the cycles that it spends in each stage and each barrier.
  bool profile = false;
  /// Whether a library may do the work of a node of the graph.
  bool library = false;
};

/// One kernel for any number of steps; the blocks wait for one another between phases.
StepSource one_kernel_source(const Program& program, const Schedule& schedule,
                             const SourceOptions& options);
/// One kernel a stage of the step, and of what makes weights' copies current.
StepSource kernels_source(const Program& program, const std::vector<PlacedStage>& stages,
                          const SourceOptions& options,
                          const std::vector<PlacedStage>& refresh = {});
/// The one that is expected to be faster.
StepSource step_source(const Program& program, const GpuFacts& gpu, const SourceOptions& options);

}  // namespace ingot::cuda
