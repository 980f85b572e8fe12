// Ops on indices: one_hot, gather and its gradient, argmax.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/parallel.h"
#include "ingot/base/host_view.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot {
namespace {

/// An operand of i32 or i64 indices below `limit`, clamped; bad ones are latched.
class Indices {
 public:
  Indices(const Node& node, std::size_t operand, std::string_view rule, std::int64_t limit)
      : type_(node.input_type(operand)),
        limit_(limit),
        node_(node.id()),
        rule_(static_cast<std::int32_t>(&node.op().constraint(rule) -
                                        node.op().constraints.data())) {}

  [[nodiscard]] std::int64_t count() const noexcept { return type_.numel(); }
  std::int64_t at(const std::byte* data, std::int64_t i, StepErrorLatch* errors) const noexcept {
    const std::int64_t index = HostView{type_, const_cast<std::byte*>(data)}.get_int(i);
    if (index >= 0 && index < limit_) return index;
    if (errors != nullptr) errors->latch(node_, rule_, index, i);
    return std::clamp<std::int64_t>(index, 0, limit_ - 1);
  }

 private:
  TensorType type_;
  std::int64_t limit_;
  std::int32_t node_;
  std::int32_t rule_;
};

class IndexKernel : public Kernel {
 public:
  IndexKernel(const KernelProblem& problem, const CpuBackend& backend)
      : pool_(backend.pool()), inputs_(problem.inputs), output_(problem.outputs[0]) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "simd-index"; }

 protected:
  ThreadPool& pool_;
  std::vector<int> inputs_;
  int output_;
};

class OneHotKernel final : public IndexKernel {
 public:
  OneHotKernel(const KernelProblem& problem, const CpuBackend& backend)
      : IndexKernel(problem, backend),
        depth_(problem.node.integer("depth")),
        labels_(problem.node, 0, "C4", depth_),
        type_(problem.node.output_type()) {}

  void run(const KernelContext& context) noexcept override {
    const HostView out{type_, context.slots[output_]};
    std::memset(out.data, 0, static_cast<std::size_t>(type_.bytes()));
    for (std::int64_t i = 0; i < labels_.count(); ++i) {
      const std::int64_t label = labels_.at(context.slots[inputs_[0]], i, context.errors);
      out.set_int(i * depth_ + label, 1);
    }
  }

 private:
  std::int64_t depth_;
  Indices labels_;
  TensorType type_;
};

/// x as [outer, size, inner], its gathered form as [outer, count, inner].
class GatherKernel final : public IndexKernel {
 public:
  GatherKernel(const KernelProblem& problem, const CpuBackend& backend)
      : GatherKernel(problem, backend, problem.node.input_type(0).shape) {}

  void run(const KernelContext& context) noexcept override {
    const std::byte* x = context.slots[inputs_[0]];
    const std::byte* indices = context.slots[inputs_[1]];
    std::byte* y = context.slots[output_];
    for (std::int64_t i = 0; i < indices_.count(); ++i) indices_.at(indices, i, context.errors);
    const double bytes = static_cast<double>(outer_ * indices_.count() * row_);
    parallel_ranges(pool_, outer_ * indices_.count(), 1, 0.2 * bytes,
                    [&](std::int64_t first, std::int64_t last, int) {
                      for (std::int64_t k = first; k < last; ++k) {
                        const std::int64_t outer = k / indices_.count();
                        const std::int64_t from =
                            indices_.at(indices, k % indices_.count(), nullptr);
                        std::memcpy(y + k * row_, x + (outer * size_ + from) * row_,
                                    static_cast<std::size_t>(row_));
                      }
                    });
  }

 private:
  GatherKernel(const KernelProblem& problem, const CpuBackend& backend, const Shape& shape)
      : IndexKernel(problem, backend),
        axis_(static_cast<int>((problem.node.integer("axis") + shape.rank()) % shape.rank())),
        size_(shape[axis_]),
        indices_(problem.node, 1, "C5", size_) {
    for (int i = 0; i < axis_; ++i) outer_ *= shape[i];
    row_ = static_cast<std::int64_t>(dtype_size(problem.node.input_type(0).dtype));
    for (int i = axis_ + 1; i < shape.rank(); ++i) row_ *= shape[i];
  }

  int axis_;
  std::int64_t size_;
  std::int64_t outer_ = 1;
  std::int64_t row_ = 1;  // bytes
  Indices indices_;
};

/// dx[outer, index, inner] += g: in the order of the indices, so that sums are reproducible.
/// T accumulates in A.
template <class T, class A>
class GatherGradKernel final : public IndexKernel {
 public:
  GatherGradKernel(const KernelProblem& problem, const CpuBackend& backend)
      : IndexKernel(problem, backend),
        size_(problem.node.integer("size")),
        indices_(problem.node, 1, grad_rule(problem.node), size_) {
    const Shape& shape = problem.node.output_type().shape;
    const auto axis = static_cast<int>(problem.node.integer("axis"));
    for (int i = 0; i < axis; ++i) outer_ *= shape[i];
    for (int i = axis + 1; i < shape.rank(); ++i) inner_ *= shape[i];
  }

  /// The rule that bounds the indices is the record's last.
  static std::string_view grad_rule(const Node& node) { return node.op().constraints.back().id; }

  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return outer_ * size_ * inner_ * static_cast<std::int64_t>(sizeof(A));
  }

  void run(const KernelContext& context) noexcept override {
    const T* g = context.at<const T>(inputs_[0]);
    const std::byte* indices = context.slots[inputs_[1]];
    auto* sums = reinterpret_cast<A*>(context.scratch);
    const std::int64_t total = outer_ * size_ * inner_;
    std::fill_n(sums, total, A{0});
    for (std::int64_t outer = 0; outer < outer_; ++outer) {
      for (std::int64_t i = 0; i < indices_.count(); ++i) {
        const std::int64_t row = indices_.at(indices, i, outer == 0 ? context.errors : nullptr);
        A* to = sums + (outer * size_ + row) * inner_;
        const T* from = g + (outer * indices_.count() + i) * inner_;
        for (std::int64_t k = 0; k < inner_; ++k) to[k] += static_cast<A>(from[k]);
      }
    }
    T* dx = context.at<T>(output_);
    for (std::int64_t i = 0; i < total; ++i) dx[i] = T(sums[i]);
  }

 private:
  std::int64_t size_;
  std::int64_t outer_ = 1;
  std::int64_t inner_ = 1;
  Indices indices_;
};

std::unique_ptr<Kernel> create_gather_grad(const KernelProblem& problem, const Backend& backend) {
  const CpuBackend& cpu = as_cpu(backend);
  switch (problem.node.output_type().dtype) {
    case DType::f64: return std::make_unique<GatherGradKernel<double, double>>(problem, cpu);
    case DType::f16: return std::make_unique<GatherGradKernel<Half, float>>(problem, cpu);
    case DType::bf16: return std::make_unique<GatherGradKernel<BFloat16, float>>(problem, cpu);
    default: return std::make_unique<GatherGradKernel<float, float>>(problem, cpu);
  }
}

class ArgmaxKernel final : public IndexKernel {
 public:
  ArgmaxKernel(const KernelProblem& problem, const CpuBackend& backend)
      : IndexKernel(problem, backend), type_(problem.node.input_type(0)) {
    const Shape& shape = type_.shape;
    const auto axis =
        static_cast<int>((problem.node.integer("axis") + shape.rank()) % shape.rank());
    size_ = shape[axis];
    for (int i = axis + 1; i < shape.rank(); ++i) inner_ *= shape[i];
    results_ = problem.node.output_type().numel();
  }

  void run(const KernelContext& context) noexcept override {
    const HostView x{type_, context.slots[inputs_[0]]};
    auto* y = context.at<std::int32_t>(output_);
    const double cost = static_cast<double>(results_ * size_) * 2.0;
    parallel_ranges(pool_, results_, 1, cost, [&](std::int64_t first, std::int64_t last, int) {
      for (std::int64_t i = first; i < last; ++i) {
        const std::int64_t start = i / inner_ * inner_ * size_ + i % inner_;
        if (type_.dtype == DType::f32) {
          const float* values = context.at<const float>(inputs_[0]) + start;
          y[i] = best([&](std::int64_t k) { return values[k * inner_]; });
        } else {
          y[i] = best([&](std::int64_t k) { return x.get(start + k * inner_); });
        }
      }
    });
  }

 private:
  /// The first of the largest; NaN is larger than all.
  template <class Get>
  [[nodiscard]] std::int32_t best(const Get& get) const noexcept {
    std::int64_t at = 0;
    auto top = get(0);
    for (std::int64_t k = 1; k < size_; ++k) {
      const auto value = get(k);
      if (value > top || (value != value && top == top)) {
        top = value;
        at = k;
      }
    }
    return static_cast<std::int32_t>(at);
  }

  TensorType type_;
  std::int64_t size_ = 1;
  std::int64_t inner_ = 1;
  std::int64_t results_ = 0;
};

template <class K>
std::unique_ptr<Kernel> create(const KernelProblem& problem, const Backend& backend) {
  return std::make_unique<K>(problem, as_cpu(backend));
}

}  // namespace

void register_index_kernels(KernelTable& table) {
  table.register_kernel(one_hot_op().name, {"simd", require_plain, create<OneHotKernel>});
  table.register_kernel(gather_op().name, {"simd", require_plain, create<GatherKernel>});
  table.register_kernel(gather_grad_op().name, {"simd", require_plain, create_gather_grad});
  table.register_kernel(argmax_op().name, {"simd", require_plain, create<ArgmaxKernel>});
}

}  // namespace ingot
