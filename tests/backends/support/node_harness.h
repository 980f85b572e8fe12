// One Node's Kernel on the CPU backend with memory of its own, to be run any number of times.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/base/host_view.h"
#include "ingot/ir/graph.h"
#include "tests/support/guarded_memory.h"

namespace ingot {

/// Uniform in [-1, 1), from Philox.
HostTensor random_tensor(const TensorType& type, std::uint64_t seed);
/// One for each operand of the Node.
std::vector<HostTensor> random_operands(const Node& node, std::uint64_t seed = 1);

class NodeHarness {
 public:
  /// The operands have these logical values, in the layouts that the Graph gives them.
  /// `candidate`: the table's entry to use (empty: the first that supports the Node); an Error with
  /// its reason when it refuses. Scratch and outputs hold NaN at first.
  NodeHarness(const Node& node, const std::vector<HostTensor>& inputs, const CpuBackend& backend,
              std::string_view candidate = {});

  void run() { kernel_->run({slots_.data(), scratch_->data(), &errors_}); }
  [[nodiscard]] const Kernel& kernel() const { return *kernel_; }
  [[nodiscard]] std::vector<HostTensor> outputs() const;
  /// Whether nothing was written behind the operands, the outputs and the scratch.
  [[nodiscard]] bool intact() const;
  /// Whether everything but the elements of an output is zero.
  [[nodiscard]] bool padding_is_zero(std::size_t output) const;

 private:
  /// Memory as a Plan gives it: aligned to 64 bytes. What fills it up to a multiple of them is
  /// looked at afterwards, a guarded page follows.
  class Block {
   public:
    explicit Block(std::int64_t bytes)
        : bytes_(bytes), memory_(static_cast<std::size_t>(bytes), kAlignment) {}
    [[nodiscard]] std::byte* data() const { return memory_.data(); }
    [[nodiscard]] bool intact() const;

   private:
    static constexpr std::size_t kAlignment = 64;
    std::int64_t bytes_;
    GuardedMemory memory_;
  };

  [[nodiscard]] const std::byte* output_memory(std::size_t output) const;

  const Node& node_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<std::byte*> slots_;
  std::unique_ptr<Kernel> kernel_;
  std::unique_ptr<Block> scratch_;
  StepErrorLatch errors_;
};

}  // namespace ingot
