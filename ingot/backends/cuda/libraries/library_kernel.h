// A Node whose work a vendor's library does.
#pragma once

#include <memory>
#include <string>

#include "ingot/backends/cuda/kernels/cuda_kernel.h"

namespace ingot::cuda {

/// Multiplications and additions, and how many of them a multiprocessor does in a cycle at most.
struct LibraryWork {
  double flops = 0;
  double flops_of_cycle = 0;
};

class LibraryKernel final : public CudaKernel {
 public:
  /// `call` gets the memory of the Node's operands, of its result, and of the workspace where it
  /// has one. `plan` names what the library does: with it the kernel's name is "LIBRARY PLAN". The
  /// result may lie where operand `overwrites` does; -1: where none does.
  LibraryKernel(const KernelProblem& problem, std::string library, const std::string& plan,
                std::shared_ptr<const LibraryCall> call, std::int64_t scratch_bytes,
                LibraryWork work, int overwrites = -1);

  [[nodiscard]] const std::string& library() const noexcept { return library_; }

  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override { return scratch_bytes_; }
  [[nodiscard]] bool in_place(int input, int output) const noexcept override {
    return input == overwrites_ && output == 0;
  }
  [[nodiscard]] bool library_only() const noexcept override { return true; }
  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override;

 private:
  std::string library_;
  std::shared_ptr<const LibraryCall> call_;
  std::int64_t scratch_bytes_;
  LibraryWork work_;
  int overwrites_;
};

}  // namespace ingot::cuda
