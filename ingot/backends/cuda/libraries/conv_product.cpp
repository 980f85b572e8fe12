// Convolutions that are products of matrices.
#include <utility>

#include "ingot/backends/cuda/libraries/conv_library.h"
#include "ingot/backends/cuda/libraries/cublaslt.h"

namespace ingot::cuda {
namespace {

class ProductConvCall final : public ConvCall {
 public:
  ProductConvCall(std::unique_ptr<LtCall> call, ConvKind kind)
      : call_(std::move(call)), kind_(kind) {}

  [[nodiscard]] const std::string& name() const noexcept override { return call_->name(); }
  [[nodiscard]] std::int64_t workspace_bytes() const noexcept override {
    return call_->workspace_bytes();
  }
  void enqueue(CUstream stream, const ConvMemory& memory, std::byte* workspace) const override {
    const auto product = [&](const std::byte* a, const std::byte* b, const std::byte* d) {
      call_->enqueue(stream, {a, b, const_cast<std::byte*>(d), memory.bias, memory.addend},
                     workspace);
    };
    switch (kind_) {
      case ConvKind::forward: return product(memory.w, memory.x, memory.y);
      case ConvKind::input_grad: return product(memory.w, memory.y, memory.x);
      case ConvKind::weight_grad: return product(memory.x, memory.y, memory.w);
    }
  }

 private:
  std::unique_ptr<LtCall> call_;
  ConvKind kind_;
};

}  // namespace

std::unique_ptr<ConvCall> as_convolution(std::unique_ptr<LtCall> call, ConvKind kind) {
  return call == nullptr ? nullptr : std::make_unique<ProductConvCall>(std::move(call), kind);
}

}  // namespace ingot::cuda
