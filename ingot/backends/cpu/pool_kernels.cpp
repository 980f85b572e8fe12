// Max and average pooling and their gradients as kernels of their own.
#include <cstring>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/cpu_layouts.h"
#include "ingot/backends/cpu/parallel.h"
#include "ingot/backends/cpu/pool_planes.h"
#include "ingot/backends/cpu/pooled_kernel.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot {
namespace {

enum class PoolKind : std::uint8_t { max, max_grad, average, average_grad };

class PoolKernel final : public Kernel {
 public:
  PoolKernel(const KernelProblem& problem, const CpuBackend& backend, PoolKind kind)
      : pool_(backend.pool()),
        inputs_(problem.inputs),
        output_(problem.outputs[0]),
        kind_(kind),
        shape_(problem.node, cpu::pool_lanes(problem.node.outputs()[0].layout)),
        code_(cpu::PlanePools::of(problem.node.output_type().dtype, shape_.lanes)),
        element_(static_cast<std::int64_t>(dtype_size(problem.node.output_type().dtype))) {
    if (problem.node.op().attr_index("count_include_pad") >= 0) {
      count_padding_ = problem.node.attr<bool>("count_include_pad");
    }
    sums_apart_ = static_cast<std::int64_t>(code_.sum_size()) != element_;
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "simd-pool"; }
  /// Gradients are summed in wider elements, a plane a thread, unless the result can hold the sums.
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return sums_apart_ ? pool_.size() * sum_bytes() : 0;
  }

  void run(const KernelContext& context) noexcept override {
    const auto taps = static_cast<double>(shape_.window.kernel[0] * shape_.window.kernel[1]);
    const std::int64_t windows = shape_.planes * shape_.out_height * shape_.out_width;
    const double cost = static_cast<double>(windows) * taps * (shape_.lanes > 1 ? 4.0 : 2.0);
    parallel_ranges(pool_, shape_.planes, 1, cost,
                    [&](std::int64_t first, std::int64_t last, int worker) {
                      for (std::int64_t p = first; p < last; ++p) run_plane(context, p, worker);
                    });
  }

 private:
  [[nodiscard]] std::int64_t sum_bytes() const noexcept {
    return shape_.in_size() * static_cast<std::int64_t>(code_.sum_size());
  }

  void run_plane(const KernelContext& context, std::int64_t plane, int worker) const noexcept {
    const std::int64_t in = plane * shape_.in_size() * element_;
    const std::int64_t out = plane * shape_.out_size() * element_;
    const std::byte* x = context.slots[inputs_[0]];
    std::byte* y = context.slots[output_];
    const cpu::PoolRows all{0, shape_.out_height};
    if (kind_ == PoolKind::max) return code_.max(shape_, x + in, y + out, all);
    if (kind_ == PoolKind::average) {
      return code_.average(shape_, count_padding_, x + in, y + out, all);
    }
    std::byte* const sums = sums_apart_ ? context.scratch + worker * sum_bytes() : y + in;
    std::memset(sums, 0, static_cast<std::size_t>(sum_bytes()));
    if (kind_ == PoolKind::max_grad) {
      code_.max_grad(shape_, x + in, context.slots[inputs_[2]] + out, sums);
    } else {
      code_.average_grad(shape_, count_padding_, x + out, sums);
    }
    if (sums_apart_) code_.round(sums, y + in, shape_.in_size());
  }

  ThreadPool& pool_;
  std::vector<int> inputs_;
  int output_;
  PoolKind kind_;
  cpu::PoolGeometry shape_;
  const cpu::PlanePools& code_;
  std::int64_t element_;  ///< bytes
  bool count_padding_ = true;
  bool sums_apart_ = false;
};

}  // namespace

bool pool_accepts(const Node& node, const Layout& layout) {
  return is_pool(node) && cpu::pool_lanes(layout) > 0;
}

bool is_pool(const Node& node) {
  const OpDef* op = &node.op();
  return op == &max_pool2d_op() || op == &max_pool2d_grad_op() || op == &avg_pool2d_op() ||
         op == &avg_pool2d_grad_op();
}

void register_pool_kernels(KernelTable& table) {
  const auto add = [&](const OpDef& op, PoolKind kind) {
    table.register_kernel(
        op.name,
        {.name = "simd",
         .supports = [](const Node& node, const Backend&) { return cpu::takes_pool_layouts(node); },
         .create =
             [kind](const KernelProblem& problem, const Backend& backend) {
               return std::make_unique<PoolKernel>(problem, as_cpu(backend), kind);
             }});
  };
  add(max_pool2d_op(), PoolKind::max);
  add(max_pool2d_grad_op(), PoolKind::max_grad);
  add(avg_pool2d_op(), PoolKind::average);
  add(avg_pool2d_grad_op(), PoolKind::average_grad);
  table.register_kernel(fused_op().name, cpu::pooled_candidate());
}

}  // namespace ingot
