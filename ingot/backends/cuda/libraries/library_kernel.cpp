#include "ingot/backends/cuda/libraries/library_kernel.h"

#include <fmt/core.h>

#include <utility>

#include "ingot/ir/op_def.h"

namespace ingot::cuda {

LibraryKernel::LibraryKernel(const KernelProblem& problem, std::string library,
                             const std::string& plan, std::shared_ptr<const LibraryCall> call,
                             std::int64_t scratch_bytes, LibraryWork work, int overwrites)
    : CudaKernel(problem, fmt::format("{} {}", library, plan)),
      library_(std::move(library)),
      call_(std::move(call)),
      scratch_bytes_(scratch_bytes),
      work_(work),
      overwrites_(overwrites) {}

std::vector<Stage> LibraryKernel::stages(const StageRequest&) const {
  Stage stage;
  stage.what = fmt::format("{} \"{}\" ({})", node().op().name, node().name(), name());
  const auto add = [&stage](int slot, const Value& value, bool write) {
    stage.accesses.push_back({slot, write, false});
    stage.bytes += static_cast<double>(value.layout().physical_bytes(value.type()));
  };
  for (std::size_t i = 0; i < inputs().size(); ++i) {
    add(inputs()[i], node().input(static_cast<int>(i)), false);
  }
  add(outputs().front(), const_cast<Node&>(node()).output(), true);
  if (scratch_bytes_ > 0) stage.accesses.push_back({-1, true, false});
  stage.flops = work_.flops;
  stage.flops_of_cycle = work_.flops_of_cycle;
  stage.library = call_;
  return {std::move(stage)};
}

}  // namespace ingot::cuda
