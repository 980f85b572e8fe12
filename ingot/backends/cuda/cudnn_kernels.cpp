// Convolutions that cuDNN runs: large ones, channels innermost.
#include <fmt/core.h>

#include <utility>

#include "ingot/backends/cuda/conv_library.h"
#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/cuda_kernel.h"
#include "ingot/backends/cuda/library_conv.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot::cuda {
namespace {

class ConvLibraryCall final : public LibraryCall {
 public:
  ConvLibraryCall(std::shared_ptr<const ConvCall> call, ConvKind kind)
      : call_(std::move(call)), kind_(kind) {}

  void enqueue(CUstream stream, std::span<std::byte* const> memory) const override {
    ConvMemory tensors;
    switch (kind_) {
      case ConvKind::forward: tensors = {memory[0], memory[1], memory[2], nullptr}; break;
      case ConvKind::input_grad: tensors = {memory[2], memory[1], memory[0], nullptr}; break;
      case ConvKind::weight_grad: tensors = {memory[0], memory[2], memory[1], nullptr}; break;
    }
    call_->enqueue(stream, tensors, memory.size() > 3 ? memory[3] : nullptr);
  }

 private:
  std::shared_ptr<const ConvCall> call_;
  ConvKind kind_;
};

class CudnnKernel final : public CudaKernel {
 public:
  CudnnKernel(const KernelProblem& problem, std::shared_ptr<const ConvCall> call,
              const ConvProblem& conv)
      : CudaKernel(problem, "cudnn"), call_(std::move(call)), conv_(conv) {}

  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return call_->workspace_bytes();
  }
  [[nodiscard]] bool library_only() const noexcept override { return true; }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest&) const override {
    Stage stage;
    stage.what =
        fmt::format("{} \"{}\" (cudnn {})", node().op().name, node().name(), call_->name());
    for (const int input : inputs()) stage.accesses.push_back({input, false, false});
    stage.accesses.push_back({outputs().front(), true, false});
    if (scratch_bytes() > 0) stage.accesses.push_back({-1, true, false});
    stage.flops = conv_.flops();
    stage.bytes = static_cast<double>(conv_.x.bytes() + conv_.w.bytes() + conv_.y.bytes());
    stage.library = std::make_shared<ConvLibraryCall>(call_, conv_.kind);
    return {std::move(stage)};
  }

 private:
  std::shared_ptr<const ConvCall> call_;
  ConvProblem conv_;
};

std::shared_ptr<const ConvCall> find_call(const Node& node, const Backend& backend,
                                          ConvProblemResult& conv, std::string& why) {
  const auto* cuda = dynamic_cast<const CudaBackend*>(&backend);
  if (cuda == nullptr) {
    why = "the backend is another";
    return nullptr;
  }
  if (const Support wanted = wants_library(node); !wanted) {
    why = wanted.reason;
    return nullptr;
  }
  conv = conv_problem(node);
  if (!conv.support) {
    why = conv.support.reason;
    return nullptr;
  }
  for (const ConvTensor* tensor : {&conv.problem.x, &conv.problem.w, &conv.problem.y}) {
    if (tensor->strides[1] != 1) {
      why = "channels are not innermost";
      return nullptr;
    }
  }
  const std::shared_ptr<ConvLibrary> library = cuda->conv_library(why);
  return library == nullptr ? nullptr : library->find(conv.problem, why);
}

Support supports_cudnn(const Node& node, const Backend& backend) {
  ConvProblemResult conv;
  std::string why;
  return find_call(node, backend, conv, why) != nullptr ? Support::yes()
                                                        : Support::no(std::move(why));
}

std::unique_ptr<Kernel> make_cudnn(const KernelProblem& problem, const Backend& backend) {
  ConvProblemResult conv;
  std::string why;
  std::shared_ptr<const ConvCall> call = find_call(problem.node, backend, conv, why);
  return std::make_unique<CudnnKernel>(problem, std::move(call), conv.problem);
}

}  // namespace

void register_cudnn_kernels(KernelTable& table) {
  for (const OpDef* op : {&conv2d_op(), &conv2d_input_grad_op(), &conv2d_weight_grad_op()}) {
    table.register_kernel(op->name, {"cudnn", supports_cudnn, make_cudnn});
  }
}

}  // namespace ingot::cuda
