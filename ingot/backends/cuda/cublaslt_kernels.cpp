// Products of matrices that cuBLASLt runs, with what is added to them and a ReLU where these
// follow.
#include <fmt/core.h>

#include <utility>

#include "ingot/backends/cuda/contractions/contract_kernels.h"
#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/libraries/kernel_race.h"
#include "ingot/backends/cuda/libraries/library_conv.h"
#include "ingot/backends/cuda/libraries/library_kernel.h"
#include "ingot/backends/cuda/libraries/lt_problem.h"
#include "ingot/backends/cuda/libraries/product_library.h"

namespace ingot::cuda {
namespace {

class ProductCall final : public LibraryCall {
 public:
  ProductCall(std::shared_ptr<const LtCall> call, const LtProblemResult& product)
      : call_(std::move(call)),
        a_(product.a),
        b_(product.b),
        bias_(product.bias),
        addend_(product.addend),
        result_(product.result) {}

  void enqueue(CUstream stream, std::span<std::byte* const> memory) const override {
    const auto at = [&](int place) -> std::byte* {
      return place < 0 ? nullptr : memory[static_cast<std::size_t>(place)];
    };
    const auto workspace = static_cast<std::size_t>(result_) + 1;
    call_->enqueue(stream, {at(a_), at(b_), at(result_), at(bias_), at(addend_)},
                   memory.size() > workspace ? memory[workspace] : nullptr);
  }

 private:
  std::shared_ptr<const LtCall> call_;
  int a_, b_, bias_, addend_, result_;
};

std::shared_ptr<const LtCall> find_call(const Node& node, const CudaBackend& cuda,
                                        const LtProblem& problem, std::string& why) {
  ProductLibrary* const library = cuda.product_library();
  if (library == nullptr) {
    why = "a plan without a GPU asks no library";
    return nullptr;
  }
  std::shared_ptr<const LtCall> call = library->find(problem, why);
  if (call == nullptr) {
    cuda.stands_in(node, {"cuBLASLt", "an algorithm", cublaslt_trouble(), problem.text(), why});
  }
  return call;
}

std::unique_ptr<LibraryKernel> make_kernel(const KernelProblem& problem,
                                           const LtProblemResult& product,
                                           std::shared_ptr<const LtCall> call) {
  const std::int64_t workspace = call->workspace_bytes();
  std::string plan = call->name().substr(call->name().find(' ') + 1);
  const LibraryWork work{product.problem.flops(), product.problem.flops_of_cycle()};
  return std::make_unique<LibraryKernel>(problem, "cublasLt", std::move(plan),
                                         std::make_shared<ProductCall>(std::move(call), product),
                                         workspace, work);
}

Support supports_cublaslt(const Node& node, const Backend& backend) {
  const auto* cuda = dynamic_cast<const CudaBackend*>(&backend);
  if (cuda == nullptr) return Support::no("the backend is another");
  const LtProblemResult product = lt_problem(node);
  if (!product.support) return product.support;
  if (const Support wanted = check_flops(product.problem.flops(), cuda->library_flops(node));
      !wanted) {
    return wanted;
  }
  std::string why;
  std::shared_ptr<const LtCall> call = find_call(node, *cuda, product.problem, why);
  if (call == nullptr) return Support::no(std::move(why));
  return cuda->library_wins(*make_kernel(race_problem(node), product, std::move(call)),
                            fmt::format("cublasLt {}", cublaslt_version()));
}

std::unique_ptr<Kernel> make_cublaslt(const KernelProblem& problem, const Backend& backend) {
  const LtProblemResult product = lt_problem(problem.node);
  std::string why;
  return make_kernel(
      problem, product,
      find_call(problem.node, dynamic_cast<const CudaBackend&>(backend), product.problem, why));
}

}  // namespace

void register_cublaslt_kernels(KernelTable& table) {
  register_for_contractions(table, {"cublasLt", supports_cublaslt, make_cublaslt});
}

}  // namespace ingot::cuda
