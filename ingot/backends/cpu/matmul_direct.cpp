#include "ingot/backends/cpu/matmul_direct.h"

#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/matmul_problem.h"
#include "ingot/backends/cpu/matmul_simd.h"
#include "ingot/ir/op_def.h"

namespace ingot::cpu {
namespace {

Support supports(const Node& node, const Backend&) {
  const DType dtype = node.output_type().dtype;
  if (dtype != DType::f32 && dtype != DType::f64) {
    return Support::no(fmt::format("takes f32 and f64, got {}", dtype_name(dtype)));
  }
  for (const Value& input : node.inputs()) {
    if (!input.layout().is_plain()) return Support::no("takes plain layouts alone");
  }
  if (!node.outputs()[0].layout.is_plain()) return Support::no("makes plain layouts alone");
  return Support::yes();
}

/// How the operands are multiplied.
enum class Form : std::uint8_t {
  plain,        ///< along the rows of b
  dots,         ///< b transposed: dot products
  dots_copied,  ///< both transposed: dot products with a copy of a
};

template <typename T>
class DirectMatmul final : public Kernel {
 public:
  DirectMatmul(const KernelProblem& problem, const CpuBackend& backend)
      : problem_(MatmulProblem::of(problem.node)),
        form_(!problem_.transpose_b  ? Form::plain
              : problem_.transpose_a ? Form::dots_copied
                                     : Form::dots),
        tasks_(problem_, 8, form_ == Form::plain ? kGemmWidth : 6),
        a_(problem.inputs[0]),
        b_(problem.inputs[1]),
        c_(problem.outputs[0]),
        pool_(backend.pool()),
        code_(gemm<T>()) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "direct"; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return pool_.size() * worker_bytes();
  }

  void run(const KernelContext& context) noexcept override {
    const T* a = context.at<T>(a_);
    const T* b = context.at<T>(b_);
    T* c = context.at<T>(c_);
    const MatmulProblem& p = problem_;
    if (p.k == 0) {
      std::fill_n(c, p.batch * p.m * p.n, T(0));
      return;
    }
    const auto run_task = [&](std::int64_t task, int worker) {
      T* scratch = reinterpret_cast<T*>(context.scratch + worker * worker_bytes());
      const MatmulBlock block = matmul_block(p, tasks_, task);
      const T* a_block = a + block.batch * p.m * p.k + block.m * (p.transpose_a ? 1 : p.k);
      const T* b_block = b + block.batch * p.k * p.n + block.n * (p.transpose_b ? p.k : 1);
      GemmArgs<T> args{.a = a_block,
                       .b = b_block,
                       .c = c + (block.batch * p.m + block.m) * p.n + block.n,
                       .m = block.rows,
                       .n = block.columns,
                       .k = p.k,
                       .lda = p.lda(),
                       .ldb = p.ldb(),
                       .ldc = p.n,
                       .transpose_a = p.transpose_a,
                       .panel = scratch};
      if (form_ == Form::plain) return code_.plain(args);
      if (form_ == Form::dots_copied) {
        for (std::int64_t k = 0; k < p.k; ++k) {
          for (std::int64_t m = 0; m < block.rows; ++m) scratch[m * p.k + k] = a_block[k * p.m + m];
        }
        args.a = scratch;
        args.lda = p.k;
      }
      code_.dots(args);
    };
    const std::int64_t count = tasks_.count(p);
    // Handing tasks to threads costs more than a small product.
    if (p.flops() < 4e5) {
      for (std::int64_t task = 0; task < count; ++task) run_task(task, 0);
    } else {
      pool_.parallel_for(count, run_task);
    }
  }

 private:
  [[nodiscard]] std::int64_t worker_bytes() const noexcept {
    std::int64_t elements = 0;
    if (form_ == Form::plain) elements = gemm_panel_size();
    if (form_ == Form::dots_copied) elements = tasks_.rows * problem_.k;
    return (elements * static_cast<std::int64_t>(sizeof(T)) + 63) / 64 * 64;
  }

  MatmulProblem problem_;
  Form form_;
  MatmulTasks tasks_;
  int a_, b_, c_;
  ThreadPool& pool_;
  Gemm<T> code_;
};

std::unique_ptr<Kernel> create(const KernelProblem& problem, const Backend& backend) {
  if (problem.node.output_type().dtype == DType::f64) {
    return std::make_unique<DirectMatmul<double>>(problem, as_cpu(backend));
  }
  return std::make_unique<DirectMatmul<float>>(problem, as_cpu(backend));
}

}  // namespace

KernelCandidate direct_matmul_candidate() { return {"direct", supports, create}; }

}  // namespace ingot::cpu
