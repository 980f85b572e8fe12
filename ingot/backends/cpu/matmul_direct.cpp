#include "ingot/backends/cpu/matmul_direct.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/matmul_problem.h"
#include "ingot/backends/cpu/matmul_simd.h"
#include "ingot/backends/cpu/sliced_kernel.h"
#include "ingot/ir/op_def.h"

namespace ingot::cpu {
namespace {

constexpr std::string_view kDirect = "direct";
constexpr std::string_view kPanels = "panels";

Support supports(const Node& node, const Backend& backend) {
  const DType dtype = node.output_type().dtype;
  if (dtype != DType::f32 && dtype != DType::f64) {
    return Support::no(fmt::format("takes f32 and f64, got {}", dtype_name(dtype)));
  }
  return require_plain(node, backend);
}

/// How the operands are multiplied.
enum class Form : std::uint8_t {
  plain,        ///< along the rows of b
  dots,         ///< b transposed: dot products
  dots_copied,  ///< both transposed: dot products with a copy of a
  panels,       ///< any: copies of both
};

Form direct_form(const MatmulProblem& problem) {
  if (!problem.transpose_b) return Form::plain;
  return problem.transpose_a ? Form::dots_copied : Form::dots;
}

constexpr std::int64_t kRowStep = 8;

/// Sizes that blocks of rows and columns, and slices, are multiples of.
struct Steps {
  std::int64_t rows = kRowStep, columns = 1, slice_rows = kRowStep;
};

Steps steps_of(Form form, const MatmulProblem& problem) {
  if (form != Form::panels) return {.columns = form == Form::plain ? kGemmWidth : 6};
  // Few large blocks: each copies its operands.
  const auto step = [](std::int64_t size, std::int64_t unit, std::int64_t most) {
    return std::clamp((size / 16 + unit - 1) / unit * unit, unit, most);
  };
  return {.rows = step(problem.m, 4 * kRowStep, kGemmRows),
          .columns = step(problem.n, kGemmWidth / 3, 4 * kGemmWidth),
          .slice_rows = 4 * kRowStep};
}

template <typename T>
class DirectMatmul final : public SlicedKernel {
 public:
  DirectMatmul(const MatmulProblem& numbers, Form form, const KernelProblem& problem,
               const CpuBackend& backend)
      : SlicedKernel(backend.pool()),
        problem_(numbers),
        form_(form),
        tasks_(problem_, steps_of(form, problem_).rows, steps_of(form, problem_).columns),
        slices_(problem_, steps_of(form, problem_).slice_rows, sizeof(T), backend.caches().l2),
        a_(problem.inputs[0]),
        b_(problem.inputs[1]),
        c_(problem.outputs[0]),
        code_(gemm<T>()) {}

  [[nodiscard]] std::string_view name() const noexcept override {
    return form_ == Form::panels ? kPanels : kDirect;
  }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return pool_.size() * worker_bytes();
  }

  void run(const KernelContext& context) noexcept override {
    const MatmulProblem& p = problem_;
    const auto run_task = [&](std::int64_t task, int worker) {
      const MatmulBlock block = matmul_block(p, tasks_, task);
      T* c = context.at<T>(c_) + (block.batch * p.m + block.m) * p.n + block.n;
      run_block(context, block, worker, c);
    };
    const std::int64_t count = tasks_.count(p);
    // Handing tasks to threads costs more than a small product.
    if (p.flops() < kSerialFlops) {
      for (std::int64_t task = 0; task < count; ++task) run_task(task, 0);
    } else {
      pool_.parallel_for(count, run_task);
    }
  }

  [[nodiscard]] std::int64_t slices() const noexcept override { return slices_.count(problem_); }
  void run_slice(const KernelContext& context, std::int64_t slice, int worker) noexcept override {
    const std::int64_t begin = range(slice).begin;
    run_block(context, matmul_block(problem_, slices_, slice), worker, context.at<T>(c_) + begin);
  }
  [[nodiscard]] bool has_ranges() const noexcept override { return slices_.enough; }
  [[nodiscard]] bool is_serial() const noexcept override { return problem_.flops() < kSerialFlops; }
  [[nodiscard]] SliceRange range(std::int64_t slice) const noexcept override {
    const MatmulBlock block = matmul_block(problem_, slices_, slice);
    const std::int64_t begin = (block.batch * problem_.m + block.m) * problem_.n;
    return {begin, begin + block.rows * problem_.n};
  }
  [[nodiscard]] std::int64_t apart_size() const noexcept override {
    return slices_.rows * problem_.n;
  }
  void run_slice_apart(const KernelContext& context, std::int64_t slice, int worker,
                       std::byte* memory) noexcept override {
    run_block(context, matmul_block(problem_, slices_, slice), worker,
              reinterpret_cast<T*>(memory));
  }
  [[nodiscard]] int bias_axis(int rank) const noexcept override { return rank - 1; }
  bool absorb(int bias, bool relu) override {
    bias_ = bias;
    relu_ = relu;
    return true;
  }

 private:
  static constexpr double kSerialFlops = 4e5;

  [[nodiscard]] std::int64_t worker_bytes() const noexcept {
    std::int64_t elements = 0;
    if (form_ == Form::plain) elements = gemm_panel_size();
    if (form_ == Form::panels) elements = gemm_panel_size() + gemm_rows_size();
    if (form_ == Form::dots_copied) elements = std::max(tasks_.rows, slices_.rows) * problem_.k;
    return (elements * static_cast<std::int64_t>(sizeof(T)) + 63) / 64 * 64;
  }

  /// Rows of the result at `c` are a whole row of the product apart.
  void run_block(const KernelContext& context, const MatmulBlock& block, int worker,
                 T* c) noexcept {
    const MatmulProblem& p = problem_;
    if (p.k == 0) {
      for (std::int64_t m = 0; m < block.rows; ++m) std::fill_n(c + m * p.n, block.columns, T(0));
    } else {
      multiply(context, block, worker, c);
    }
    if (bias_ < 0 && !relu_) return;
    code_.finish({.c = c,
                  .m = block.rows,
                  .n = block.columns,
                  .ldc = p.n,
                  .bias = bias_ < 0 ? nullptr : context.at<const T>(bias_) + block.n,
                  .relu = relu_});
  }

  void multiply(const KernelContext& context, const MatmulBlock& block, int worker, T* c) noexcept {
    const MatmulProblem& p = problem_;
    T* scratch = reinterpret_cast<T*>(context.scratch + worker * worker_bytes());
    const T* a = context.at<T>(a_) + block.batch * p.m * p.k + block.m * (p.transpose_a ? 1 : p.k);
    const T* b = context.at<T>(b_) + block.batch * p.k * p.n + block.n * (p.transpose_b ? p.k : 1);
    GemmArgs<T> args{.a = a,
                     .b = b,
                     .c = c,
                     .m = block.rows,
                     .n = block.columns,
                     .k = p.k,
                     .lda = p.lda(),
                     .ldb = p.ldb(),
                     .ldc = p.n,
                     .transpose_a = p.transpose_a,
                     .transpose_b = p.transpose_b,
                     .panel = scratch};
    if (form_ == Form::plain) return code_.plain(args);
    if (form_ == Form::panels) {
      args.row_panels = scratch + gemm_panel_size();
      return code_.panels(args);
    }
    if (form_ == Form::dots_copied) {
      for (std::int64_t k = 0; k < p.k; ++k) {
        for (std::int64_t m = 0; m < block.rows; ++m) scratch[m * p.k + k] = a[k * p.m + m];
      }
      args.a = scratch;
      args.lda = p.k;
    }
    code_.dots(args);
  }

  MatmulProblem problem_;
  Form form_;
  MatmulTasks tasks_;
  MatmulSlices slices_;
  int a_, b_, c_;
  Gemm<T> code_;
  int bias_ = -1;  ///< slot of a value for each column
  bool relu_ = false;
};

std::unique_ptr<Kernel> create(const KernelProblem& problem, const Backend& backend, bool panels) {
  const MatmulProblem numbers = MatmulProblem::of(problem.node);
  const Form form = panels ? Form::panels : direct_form(numbers);
  if (problem.node.output_type().dtype == DType::f64) {
    return std::make_unique<DirectMatmul<double>>(numbers, form, problem, as_cpu(backend));
  }
  return std::make_unique<DirectMatmul<float>>(numbers, form, problem, as_cpu(backend));
}

}  // namespace

KernelCandidate direct_matmul_candidate() {
  return {kDirect, supports, [](const KernelProblem& problem, const Backend& backend) {
            return create(problem, backend, false);
          }};
}

KernelCandidate panels_matmul_candidate() {
  return {kPanels, supports, [](const KernelProblem& problem, const Backend& backend) {
            return create(problem, backend, true);
          }};
}

}  // namespace ingot::cpu
