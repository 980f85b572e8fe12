// A device implementation of one Node of a lowered Graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ingot/base/step_error.h"
#include "ingot/ir/graph.h"

namespace ingot {

/// What a Kernel gets at each run. Every Value of the Program has a slot; its address may change
/// between runs (feeds), so Kernels keep slots, never addresses.
struct KernelContext {
  std::byte* const* slots;
  /// This Kernel's workspace of scratch_bytes() bytes in the arena.
  std::byte* scratch;
  StepErrorLatch* errors;

  template <typename T>
  [[nodiscard]] T* at(int slot) const noexcept {
    return reinterpret_cast<T*>(slots[slot]);
  }
};

/// The Node with the slots of its operands and results. Types and layouts are in the Node.
struct KernelProblem {
  const Node& node;
  std::vector<int> inputs;
  std::vector<int> outputs;
};

class Kernel;

/// A Kernel that another one runs for a Node of its Region's body.
struct InnerKernel {
  const Node* node = nullptr;
  const Kernel* kernel = nullptr;
  double seconds = 0;  ///< total over all threads, with INGOT_TRACE=kernels
};

class Kernel {
 public:
  virtual ~Kernel() = default;
  /// Computes every output. Allocates nothing, never throws; data errors go to `errors`.
  virtual void run(const KernelContext& context) noexcept = 0;
  /// Whether run() does the work; else the backend's Runner does it from what the Kernel knows.
  [[nodiscard]] virtual bool runs_itself() const noexcept { return true; }
  /// Which implementation this is, for traces and for the record of a run.
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  [[nodiscard]] virtual std::int64_t scratch_bytes() const noexcept { return 0; }
  /// Whether output `output` may have the same address as input `input` (equal layouts and sizes).
  [[nodiscard]] virtual bool in_place(int input, int output) const noexcept {
    (void)input;
    (void)output;
    return false;
  }
  /// The Kernels of a Region that runs its body Node by Node, in order; else none.
  [[nodiscard]] virtual std::vector<InnerKernel> inner() const { return {}; }
};

}  // namespace ingot
