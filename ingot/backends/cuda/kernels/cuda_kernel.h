// A Kernel that gives its work as generated stages.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ingot/backends/cuda/kernels/stage.h"
#include "ingot/runtime/kernel.h"
#include "ingot/runtime/kernel_table.h"

namespace ingot::cuda {

class CudaKernel : public Kernel {
 public:
  CudaKernel(const KernelProblem& problem, std::string name)
      : node_(problem.node),
        inputs_(problem.inputs),
        outputs_(problem.outputs),
        name_(std::move(name)) {}

  /// Work goes to the device as stages; the engine leaves it to the backend's Runner.
  void run(const KernelContext&) noexcept override {}
  [[nodiscard]] bool runs_itself() const noexcept override { return false; }
  [[nodiscard]] std::string_view name() const noexcept override { return name_; }

  /// The work in order, cut for the mode that is asked for where it can be: each Stage says its
  /// own. With mode item the batch is axis 0 of the operands that `by_item` of their accesses says.
  [[nodiscard]] virtual std::vector<Stage> stages(const StageRequest& request) const = 0;
  /// Parts of the work that can be left to who stores an operand.
  [[nodiscard]] virtual std::vector<Update> updates() const { return {}; }
  /// Whether stages() has a form for mode item.
  [[nodiscard]] virtual bool separable(std::int64_t items) const {
    (void)items;
    return false;
  }

  /// Whether its work is a library's: a node of a graph, never a part of a generated kernel.
  [[nodiscard]] virtual bool library_only() const noexcept { return false; }

  [[nodiscard]] const Node& node() const noexcept { return node_; }
  [[nodiscard]] std::span<const int> inputs() const noexcept { return inputs_; }
  [[nodiscard]] std::span<const int> outputs() const noexcept { return outputs_; }

 private:
  const Node& node_;
  std::vector<int> inputs_;
  std::vector<int> outputs_;
  std::string name_;
};

#define INGOT_CUDA_KERNELS(family) void register_##family##_kernels(KernelTable& table);
#include "ingot/backends/cuda/kernels/cuda_kernels.inc"
#undef INGOT_CUDA_KERNELS

}  // namespace ingot::cuda
