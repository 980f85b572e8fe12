#include "ingot/backends/cuda/cublaslt.h"

#include <cublasLt.h>
#include <fmt/core.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "ingot/backends/cuda/library.h"
#include "ingot/base/error.h"

namespace ingot::cuda {
namespace {

struct Functions {
// NOLINTNEXTLINE(bugprone-macro-parentheses): it declares the name
#define INGOT_CUBLASLT(name) decltype(&::cublasLt##name) name = nullptr;
#include "ingot/backends/cuda/cublaslt.inc"
#undef INGOT_CUBLASLT
};

struct Loaded {
  Functions functions;
  std::string trouble;  ///< empty: usable

  Loaded() {
    static constexpr std::array<std::string_view, 2> kNames{"libcublasLt.so.13",
                                                            "libcublasLt.so.12"};
    const Library library(kNames);
    if (!library.loaded()) {
      trouble = fmt::format("no cuBLASLt ({})", library.detail());
      return;
    }
#define INGOT_CUBLASLT(name)                                                                     \
  functions.name = reinterpret_cast<decltype(functions.name)>(library.symbol("cublasLt" #name)); \
  if (functions.name == nullptr && trouble.empty()) trouble = "a cuBLASLt without cublasLt" #name;
#include "ingot/backends/cuda/cublaslt.inc"
#undef INGOT_CUBLASLT
  }
};

const Loaded& loaded() {
  static const Loaded instance;
  return instance;
}

const Functions& lt() { return loaded().functions; }

void check(cublasStatus_t status, std::string_view what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(ErrorKind::internal, ErrorCode::internal,
              fmt::format("cublasLt: {} must succeed, got {}", what, lt().GetStatusString(status)));
}

cudaDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::f16: return CUDA_R_16F;
    case DType::bf16: return CUDA_R_16BF;
    default: return CUDA_R_32F;
  }
}

/// D = op(A) op(B) in cuBLAS's terms: matrices by columns. Pixels are columns of tensors whose
/// channels are innermost; a weight [O, I] is I x O.
struct Product {
  const ConvTensor* a;
  const ConvTensor* b;
  const ConvTensor* d;
  cublasOperation_t op_a, op_b;
};

Product product_of(const ConvProblem& p) {
  switch (p.kind) {
    case ConvKind::input_grad: return {&p.w, &p.y, &p.x, CUBLAS_OP_N, CUBLAS_OP_N};
    case ConvKind::weight_grad: return {&p.x, &p.y, &p.w, CUBLAS_OP_N, CUBLAS_OP_T};
    case ConvKind::forward: break;
  }
  return {&p.w, &p.x, &p.y, CUBLAS_OP_T, CUBLAS_OP_N};
}

std::int64_t columns(const ConvTensor& t) { return t.dims[0] * t.dims[2] * t.dims[3]; }

class Layout {
 public:
  explicit Layout(const ConvTensor& t) {
    const auto rows = static_cast<std::uint64_t>(t.dims[1]);
    check(lt().MatrixLayoutCreate(&layout_, data_type(t.dtype), rows,
                                  static_cast<std::uint64_t>(columns(t)), t.dims[1]),
          "describing a matrix");
  }
  ~Layout() { lt().MatrixLayoutDestroy(layout_); }
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;
  [[nodiscard]] cublasLtMatrixLayout_t get() const noexcept { return layout_; }

 private:
  cublasLtMatrixLayout_t layout_ = nullptr;
};

class Preference {
 public:
  Preference() {
    check(lt().MatmulPreferenceCreate(&preference_), "describing a wish");
    // Partial sums in f32, added in a fixed order.
    const std::uint32_t schemes =
        CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const std::uint64_t bytes = std::uint64_t{64} << 20;
    check(lt().MatmulPreferenceSetAttribute(preference_, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                            &schemes, sizeof(schemes)),
          "describing a wish");
    check(lt().MatmulPreferenceSetAttribute(preference_, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                            &bytes, sizeof(bytes)),
          "describing a wish");
  }
  ~Preference() { lt().MatmulPreferenceDestroy(preference_); }
  Preference(const Preference&) = delete;
  Preference& operator=(const Preference&) = delete;
  [[nodiscard]] cublasLtMatmulPreference_t get() const noexcept { return preference_; }

 private:
  cublasLtMatmulPreference_t preference_ = nullptr;
};

}  // namespace

class LtHandle {
 public:
  LtHandle() { check(lt().Create(&handle_), "making a handle"); }
  ~LtHandle() { lt().Destroy(handle_); }
  LtHandle(const LtHandle&) = delete;
  LtHandle& operator=(const LtHandle&) = delete;
  [[nodiscard]] cublasLtHandle_t get() const noexcept { return handle_; }

 private:
  cublasLtHandle_t handle_ = nullptr;
};

namespace {

/// What all algorithms for one problem share.
struct Description {
  Description(std::shared_ptr<LtHandle> lt_handle, const ConvProblem& p)
      : handle(std::move(lt_handle)),
        problem(p),
        product(product_of(problem)),
        a(*product.a),
        b(*product.b),
        d(*product.d) {
    const bool tf32 = problem.tf32 && problem.x.dtype == DType::f32;
    check(lt().MatmulDescCreate(&matmul, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                                CUDA_R_32F),
          "describing a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, product.op_a);
    set(CUBLASLT_MATMUL_DESC_TRANSB, product.op_b);
  }
  ~Description() {
    if (matmul != nullptr) lt().MatmulDescDestroy(matmul);
  }
  Description(const Description&) = delete;
  Description& operator=(const Description&) = delete;

  template <typename T>
  void set(cublasLtMatmulDescAttributes_t name, const T& value) {
    check(lt().MatmulDescSetAttribute(matmul, name, &value, sizeof(value)), "describing a product");
  }

  std::shared_ptr<LtHandle> handle;
  ConvProblem problem;
  Product product;  ///< points into problem
  Layout a, b, d;
  cublasLtMatmulDesc_t matmul = nullptr;
};

class ProductCall final : public ConvCall {
 public:
  ProductCall(std::shared_ptr<const Description> description, const cublasLtMatmulAlgo_t& algorithm,
              std::size_t workspace_bytes, std::string name)
      : description_(std::move(description)),
        algorithm_(algorithm),
        workspace_bytes_(workspace_bytes),
        name_(std::move(name)) {}

  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] std::int64_t workspace_bytes() const noexcept override {
    return static_cast<std::int64_t>(workspace_bytes_);
  }
  void enqueue(CUstream stream, const ConvMemory& memory, std::byte* workspace) const override {
    const Description& d = *description_;
    const ConvProblem& p = d.problem;
    const auto at = [&](const ConvTensor* tensor) {
      return tensor == &p.x ? memory.x : tensor == &p.w ? memory.w : memory.y;
    };
    const float one = 1;
    const float zero = 0;
    auto* const result = const_cast<std::byte*>(at(d.product.d));
    check(lt().Matmul(d.handle->get(), d.matmul, &one, at(d.product.a), d.a.get(), at(d.product.b),
                      d.b.get(), &zero, result, d.d.get(), result, d.d.get(), &algorithm_,
                      workspace, workspace_bytes_, stream),
          "running " + p.text());
  }

 private:
  std::shared_ptr<const Description> description_;
  cublasLtMatmulAlgo_t algorithm_;
  std::size_t workspace_bytes_;
  std::string name_;
};

/// Names an algorithm by its words, which are all that it is.
std::string algorithm_name(const cublasLtMatmulAlgo_t& algorithm) {
  std::string name = "cublasLt ";
  for (const std::uint64_t word : algorithm.data) name += fmt::format("{:x}.", word);
  name.pop_back();
  return name;
}

}  // namespace

const std::string& cublaslt_trouble() { return loaded().trouble; }

std::shared_ptr<LtHandle> make_lt_handle() {
  if (!cublaslt_trouble().empty()) {
    throw unsupported_error("cublasLt: must be installed, got " + cublaslt_trouble());
  }
  return std::make_shared<LtHandle>();
}

bool is_product(const ConvProblem& p) {
  const auto dense = [](const ConvTensor& t) {
    return t.strides[1] == 1 && t.strides[3] == t.dims[1] &&
           t.strides[2] == t.dims[1] * t.dims[3] && t.strides[0] == t.strides[2] * t.dims[2];
  };
  return p.w.dims[2] == 1 && p.w.dims[3] == 1 && p.stride == std::array<std::int64_t, 2>{1, 1} &&
         p.before == std::array<std::int64_t, 2>{} && p.after == p.before &&
         p.x.dims[1] == p.w.dims[1] && p.y.dims[1] == p.w.dims[0] && dense(p.x) && dense(p.y) &&
         p.w.strides[1] == 1 && p.w.strides[0] == p.w.dims[1] && !p.bias && !p.relu;
}

std::vector<std::unique_ptr<ConvCall>> product_calls(const std::shared_ptr<LtHandle>& handle,
                                                     const ConvProblem& problem, int most) {
  std::vector<std::unique_ptr<ConvCall>> calls;
  const auto description = std::make_shared<const Description>(handle, problem);
  const Preference preference;
  std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<std::size_t>(most));
  int count = 0;
  const cublasStatus_t status = lt().MatmulAlgoGetHeuristic(
      handle->get(), description->matmul, description->a.get(), description->b.get(),
      description->d.get(), description->d.get(), preference.get(), most, found.data(), &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return calls;
  check(status, "asking for algorithms of " + problem.text());
  for (int i = 0; i < count; ++i) {
    const cublasLtMatmulHeuristicResult_t& one = found[static_cast<std::size_t>(i)];
    if (one.state != CUBLAS_STATUS_SUCCESS) continue;
    calls.push_back(std::make_unique<ProductCall>(description, one.algo, one.workspaceSize,
                                                  algorithm_name(one.algo)));
  }
  return calls;
}

}  // namespace ingot::cuda
