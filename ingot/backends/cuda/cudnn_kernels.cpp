// Convolutions that cuDNN runs, with what is added to them and a ReLU where these follow: channels
// innermost.
#include <fmt/core.h>

#include <utility>

#include "ingot/backends/cuda/contractions/contract_kernels.h"
#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/libraries/conv_library.h"
#include "ingot/backends/cuda/libraries/kernel_race.h"
#include "ingot/backends/cuda/libraries/library_conv.h"
#include "ingot/backends/cuda/libraries/library_kernel.h"
#include "ingot/ir/op_def.h"

namespace ingot::cuda {
namespace {

class ConvLibraryCall final : public LibraryCall {
 public:
  ConvLibraryCall(std::shared_ptr<const ConvCall> call, const ConvPlaces& places)
      : call_(std::move(call)), places_(places) {}

  void enqueue(CUstream stream, std::span<std::byte* const> memory) const override {
    const auto at = [&](int place) -> std::byte* {
      return place < 0 ? nullptr : memory[static_cast<std::size_t>(place)];
    };
    const auto workspace = static_cast<std::size_t>(places_.workspace);
    call_->enqueue(
        stream, {at(places_.x), at(places_.w), at(places_.y), at(places_.bias), at(places_.addend)},
        memory.size() > workspace ? memory[workspace] : nullptr);
  }

 private:
  std::shared_ptr<const ConvCall> call_;
  ConvPlaces places_;
};

std::shared_ptr<const ConvCall> find_call(const Node& node, const CudaBackend& cuda,
                                          const ConvProblemResult& conv, std::string& why) {
  for (const ConvTensor* tensor : {&conv.problem.x, &conv.problem.w, &conv.problem.y}) {
    if (tensor->strides[1] != 1) {
      why = "channels are not innermost";
      return nullptr;
    }
  }
  const std::shared_ptr<ConvLibrary> library = cuda.conv_library(why);
  if (library == nullptr) {
    if (cuda.runs()) cuda.stands_in(node, {"cuDNN", "a plan", why});
    return nullptr;
  }
  std::shared_ptr<const ConvCall> call = library->find(conv.problem, why);
  if (call == nullptr) cuda.stands_in(node, {"cuDNN", "a plan", {}, conv.problem.text(), why});
  return call;
}

std::unique_ptr<LibraryKernel> make_kernel(const KernelProblem& problem,
                                           const ConvProblemResult& conv,
                                           std::shared_ptr<const ConvCall> call) {
  const std::int64_t workspace = call->workspace_bytes();
  std::string plan = call->name();
  const int overwrites = call->in_place() ? conv.places.addend : -1;
  const LibraryWork work{conv.problem.flops(), conv.problem.flops_of_cycle()};
  return std::make_unique<LibraryKernel>(
      problem, "cudnn", std::move(plan),
      std::make_shared<ConvLibraryCall>(std::move(call), conv.places), workspace, work, overwrites);
}

Support supports_cudnn(const Node& node, const Backend& backend) {
  const auto* cuda = dynamic_cast<const CudaBackend*>(&backend);
  if (cuda == nullptr) return Support::no("the backend is another");
  if (const Support wanted = wants_library(node, cuda->library_flops(node)); !wanted) return wanted;
  const ConvProblemResult conv = conv_problem(node);
  if (!conv.support) return conv.support;
  std::string why;
  std::shared_ptr<const ConvCall> call = find_call(node, *cuda, conv, why);
  if (call == nullptr) return Support::no(std::move(why));
  return cuda->library_wins(*make_kernel(race_problem(node), conv, std::move(call)),
                            cuda->conv_library(why)->version());
}

std::unique_ptr<Kernel> make_cudnn(const KernelProblem& problem, const Backend& backend) {
  const ConvProblemResult conv = conv_problem(problem.node);
  std::string why;
  return make_kernel(problem, conv,
                     find_call(problem.node, dynamic_cast<const CudaBackend&>(backend), conv, why));
}

}  // namespace

void register_cudnn_kernels(KernelTable& table) {
  register_for_contractions(table, {"cudnn", supports_cudnn, make_cudnn});
}

}  // namespace ingot::cuda
