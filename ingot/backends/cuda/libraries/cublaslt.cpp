#include "ingot/backends/cuda/libraries/cublaslt.h"

#include <fmt/core.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include "ingot/backends/cuda/libraries/cublaslt_library.h"
#include "ingot/base/error.h"

namespace ingot::cuda {

class LtHandle {
 public:
  LtHandle() { check(cublaslt().Create(&handle_), "making a handle"); }
  ~LtHandle() { cublaslt().Destroy(handle_); }
  LtHandle(const LtHandle&) = delete;
  LtHandle& operator=(const LtHandle&) = delete;
  [[nodiscard]] cublasLtHandle_t get() const noexcept { return handle_; }

 private:
  cublasLtHandle_t handle_ = nullptr;
};

namespace {

constexpr std::string_view kNamePrefix = "cublasLt ";
// What an algorithm may use for partial sums.
constexpr std::uint64_t kMostWorkspace = std::uint64_t{64} << 20;

cudaDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::f16: return CUDA_R_16F;
    case DType::bf16: return CUDA_R_16BF;
    default: return CUDA_R_32F;
  }
}

class Layout {
 public:
  Layout(const LtMatrix& m, std::int64_t batch) {
    check(cublaslt().MatrixLayoutCreate(&layout_, data_type(m.dtype),
                                        static_cast<std::uint64_t>(m.rows),
                                        static_cast<std::uint64_t>(m.columns), m.ld),
          "describing a matrix");
    if (batch == 1) return;
    set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<std::int32_t>(batch));
    set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, m.step);
  }
  ~Layout() { cublaslt().MatrixLayoutDestroy(layout_); }
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;
  [[nodiscard]] cublasLtMatrixLayout_t get() const noexcept { return layout_; }

 private:
  template <typename T>
  void set(cublasLtMatrixLayoutAttribute_t name, const T& value) {
    check(cublaslt().MatrixLayoutSetAttribute(layout_, name, &value, sizeof(value)),
          "describing a matrix");
  }

  cublasLtMatrixLayout_t layout_ = nullptr;
};

class Preference {
 public:
  explicit Preference(const LtProblem& problem) {
    check(cublaslt().MatmulPreferenceCreate(&preference_), "describing a wish");
    // Partial sums in f32, added in a fixed order.
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        std::uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMostWorkspace);
    // Where matrices of a step's own begin; a later one of a batch is as its distance allows.
    const auto alignment = [](const LtMatrix& m) {
      const auto bytes =
          static_cast<std::uint32_t>(m.step) * static_cast<std::uint32_t>(dtype_size(m.dtype));
      std::uint32_t most = 256;
      while (bytes % most != 0) most /= 2;
      return most;
    };
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(problem.a));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(problem.b));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(problem.d));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(problem.d));
  }
  ~Preference() { cublaslt().MatmulPreferenceDestroy(preference_); }
  Preference(const Preference&) = delete;
  Preference& operator=(const Preference&) = delete;
  [[nodiscard]] cublasLtMatmulPreference_t get() const noexcept { return preference_; }

 private:
  template <typename T>
  void set(cublasLtMatmulPreferenceAttributes_t name, const T& value) {
    check(cublaslt().MatmulPreferenceSetAttribute(preference_, name, &value, sizeof(value)),
          "describing a wish");
  }

  cublasLtMatmulPreference_t preference_ = nullptr;
};

/// What is computed. The bias's address is part of it: one serves one call.
class Operation {
 public:
  Operation(const LtProblem& p, const std::byte* bias) {
    const bool tf32 = p.tf32 && p.a.dtype == DType::f32;
    check(cublaslt().MatmulDescCreate(
              &matmul_, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "describing a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, p.a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, p.b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (!p.bias && !p.relu) return;
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, p.bias && p.relu ? CUBLASLT_EPILOGUE_RELU_BIAS
                                       : p.bias         ? CUBLASLT_EPILOGUE_BIAS
                                                        : CUBLASLT_EPILOGUE_RELU);
    if (!p.bias) return;
    set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, data_type(p.bias_dtype));
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  ~Operation() { cublaslt().MatmulDescDestroy(matmul_); }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  [[nodiscard]] cublasLtMatmulDesc_t get() const noexcept { return matmul_; }

 private:
  template <typename T>
  void set(cublasLtMatmulDescAttributes_t name, const T& value) {
    check(cublaslt().MatmulDescSetAttribute(matmul_, name, &value, sizeof(value)),
          "describing a product");
  }

  cublasLtMatmulDesc_t matmul_ = nullptr;
};

/// What all algorithms for one problem share.
struct Description {
  Description(std::shared_ptr<LtHandle> lt_handle, const LtProblem& p)
      : handle(std::move(lt_handle)),
        problem(p),
        a(p.a, p.batch),
        b(p.b, p.batch),
        d(p.d, p.batch) {}

  std::shared_ptr<LtHandle> handle;
  LtProblem problem;
  Layout a, b, d;
};

class Algorithm final : public LtCall {
 public:
  Algorithm(std::shared_ptr<const Description> description, const cublasLtMatmulAlgo_t& algorithm,
            std::size_t workspace_bytes, std::string name)
      : description_(std::move(description)),
        algorithm_(algorithm),
        workspace_bytes_(workspace_bytes),
        name_(std::move(name)) {}

  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] std::int64_t workspace_bytes() const noexcept override {
    return static_cast<std::int64_t>(workspace_bytes_);
  }
  void enqueue(CUstream stream, const LtMemory& memory, std::byte* workspace) const override {
    const Description& d = *description_;
    const Operation operation(d.problem, memory.bias);
    const float one = 1;
    const float beta = d.problem.addend ? 1 : 0;
    const std::byte* const c = d.problem.addend ? memory.addend : memory.d;
    check(cublaslt().Matmul(d.handle->get(), operation.get(), &one, memory.a, d.a.get(), memory.b,
                            d.b.get(), &beta, c, d.d.get(), memory.d, d.d.get(), &algorithm_,
                            workspace, workspace_bytes_, stream),
          "running " + d.problem.text());
  }

 private:
  std::shared_ptr<const Description> description_;
  cublasLtMatmulAlgo_t algorithm_;
  std::size_t workspace_bytes_;
  std::string name_;
};

/// Names an algorithm by its words, which are all that it is.
std::string algorithm_name(const cublasLtMatmulAlgo_t& algorithm) {
  std::string name(kNamePrefix);
  for (const std::uint64_t word : algorithm.data) name += fmt::format("{:x}.", word);
  name.pop_back();
  return name;
}

std::optional<cublasLtMatmulAlgo_t> parse_algorithm(std::string_view name) {
  if (!is_lt_name(name)) return std::nullopt;
  name.remove_prefix(kNamePrefix.size());
  cublasLtMatmulAlgo_t algorithm{};
  for (std::uint64_t& word : algorithm.data) {
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), word, 16);
    if (error != std::errc{}) return std::nullopt;
    name.remove_prefix(static_cast<std::size_t>(end - name.data()));
    if (!name.empty() && name.front() == '.') name.remove_prefix(1);
  }
  return name.empty() ? std::optional(algorithm) : std::nullopt;
}

/// A bias must lie somewhere for heuristics to be asked; its place is chosen later.
const std::byte* some_place() {
  alignas(16) static const std::byte place{};
  return &place;
}

}  // namespace

std::size_t cublaslt_version() { return cublaslt().GetVersion(); }

std::shared_ptr<LtHandle> make_lt_handle() { return std::make_shared<LtHandle>(); }

std::vector<std::unique_ptr<LtCall>> lt_calls(const std::shared_ptr<LtHandle>& handle,
                                              const LtProblem& problem, int most) {
  std::vector<std::unique_ptr<LtCall>> calls;
  const auto description = std::make_shared<const Description>(handle, problem);
  const Operation operation(problem, some_place());
  const Preference preference(problem);
  std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<std::size_t>(most));
  int count = 0;
  const cublasStatus_t status = cublaslt().MatmulAlgoGetHeuristic(
      handle->get(), operation.get(), description->a.get(), description->b.get(),
      description->d.get(), description->d.get(), preference.get(), most, found.data(), &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return calls;
  check(status, "asking for algorithms of " + problem.text());
  for (int i = 0; i < count; ++i) {
    const cublasLtMatmulHeuristicResult_t& one = found[static_cast<std::size_t>(i)];
    if (one.state != CUBLAS_STATUS_SUCCESS) continue;
    calls.push_back(std::make_unique<Algorithm>(description, one.algo, one.workspaceSize,
                                                algorithm_name(one.algo)));
  }
  return calls;
}

bool is_lt_name(std::string_view name) { return name.starts_with(kNamePrefix); }

std::unique_ptr<LtCall> lt_call(const std::shared_ptr<LtHandle>& handle, const LtProblem& problem,
                                std::string_view name) {
  const std::optional<cublasLtMatmulAlgo_t> algorithm = parse_algorithm(name);
  if (!algorithm) return nullptr;
  const auto description = std::make_shared<const Description>(handle, problem);
  const Operation operation(problem, some_place());
  cublasLtMatmulHeuristicResult_t checked{};
  const cublasStatus_t status = cublaslt().MatmulAlgoCheck(
      handle->get(), operation.get(), description->a.get(), description->b.get(),
      description->d.get(), description->d.get(), &*algorithm, &checked);
  if (status != CUBLAS_STATUS_SUCCESS || checked.workspaceSize > kMostWorkspace) return nullptr;
  return std::make_unique<Algorithm>(description, *algorithm, checked.workspaceSize,
                                     std::string(name));
}

}  // namespace ingot::cuda
