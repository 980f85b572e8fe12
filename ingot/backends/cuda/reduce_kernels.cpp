// Reductions, with the elementwise chains that they read and whatever else their Region stores.
#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cuda/map_kernel.h"
#include "ingot/backends/cuda/reduce_plan.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/reduction.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

/// A reduction's components: a sum, a maximum, or the sums of (x - k) and (x - k)^2 with the first
/// term as k, from which mean and variance follow without losing a mean far from zero.
enum class Kind : std::uint8_t { sum, mean, max, moments, none };

Kind kind_of(const Node& node) {
  if (&node.op() == &sum_op()) return Kind::sum;
  if (&node.op() == &mean_op()) return Kind::mean;
  if (&node.op() == &reduce_max_op()) return Kind::max;
  if (&node.op() == &moments_op()) return Kind::moments;
  return Kind::none;
}

/// The loop's axes that stay and those that go, and strides of both in the loop's shape.
struct Axes {
  Shape kept;
  Shape reduced;
  std::vector<int> kept_axes;
  std::vector<int> reduced_axes;

  explicit Axes(const Node& reduction) {
    const Shape& shape = reduction.input_type(0).shape;
    const std::vector<int> gone = ingot::reduced_axes(reduction);
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const bool is_gone = std::ranges::binary_search(gone, axis);
      (is_gone ? reduced : kept).push_back(shape[axis]);
      (is_gone ? reduced_axes : kept_axes).push_back(axis);
    }
  }
};

class ReduceKernel final : public CudaKernel {
 public:
  ReduceKernel(const KernelProblem& problem, const Backend&)
      : CudaKernel(problem, "reduce"),
        region_(region_of(node(), inputs())),
        loop_(region_.reductions.front()->input_type(0).shape),
        axes_(*region_.reductions.front()) {
    for (std::size_t i = 0; i < region_.results.size(); ++i) {
      const Value& result = region_.results[i];
      if (is_reduction(*result.node())) continue;
      (result.shape().numel() == loop_.numel() ? beside_ : apart_).push_back(static_cast<int>(i));
    }
  }

  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    // Partial sums of the largest cut that may be asked for: over blocks, or over the batch.
    const std::int64_t outputs = axes_.kept.numel();
    std::int64_t splits = grid_splits(kMostMultiprocessors);
    if (sums_only() && loop_.rank() > 0 && loop_[0] <= 1024) splits = std::max(splits, loop_[0]);
    return splits == 1 ? 0 : splits * outputs * 4 * component_count();
  }

  [[nodiscard]] bool separable(std::int64_t items) const override {
    return loop_.rank() > 0 && loop_[0] == items && loop_.numel() > 0;
  }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    std::vector<Stage> result;
    if (!apart_.empty()) result = map_stages(request, *this, region_, apart_);
    if (axes_.kept.numel() == 0 && beside_.empty()) return result;
    std::int64_t splits = request.mode == Mode::grid ? grid_splits(request.multiprocessors) : 1;
    if (request.mode == Mode::item && request.reduced) splits = request.items;
    Stage whole;
    whole.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    whole.accesses = all_accesses(request, *this);
    if (request.mode == Mode::item && request.reduced) {
      for (Access& access : whole.accesses) {
        if (access.write) access.by_item = false;
      }
      for (const int r : beside_) {
        for (Access& access : whole.accesses) {
          if (access.slot == outputs()[static_cast<std::size_t>(r)]) access.by_item = true;
        }
      }
    }
    for (const auto& [value, slot] : region_.operands) {
      whole.bytes += static_cast<double>(value.type().bytes());
    }
    std::vector<Stage> own = reduce_stages(request, plan(), splits, whole);
    result.insert(result.end(), std::make_move_iterator(own.begin()),
                  std::make_move_iterator(own.end()));
    return result;
  }

 private:
  static constexpr int kMostMultiprocessors = 160;

  [[nodiscard]] std::int64_t grid_splits(int multiprocessors) const {
    return reduce_splits(axes_.kept.numel(), axes_.reduced.numel(), multiprocessors);
  }
  [[nodiscard]] bool sums_only() const {
    return std::ranges::all_of(region_.reductions, [](const Node* node) {
      return kind_of(*node) == Kind::sum || kind_of(*node) == Kind::mean;
    });
  }
  [[nodiscard]] std::int64_t component_count() const {
    std::int64_t count = 0;
    for (const Node* reduction : region_.reductions) {
      count += kind_of(*reduction) == Kind::moments ? 2 : 1;
    }
    return count;
  }

  /// All coordinates of the loop, from those of the two halves.
  [[nodiscard]] Place place(std::string& code, const std::vector<std::string>& kept,
                            const std::vector<std::string>& reduced,
                            const std::string& name) const {
    std::vector<std::string> all(static_cast<std::size_t>(loop_.rank()));
    for (std::size_t i = 0; i < kept.size(); ++i) {
      all[static_cast<std::size_t>(axes_.kept_axes[i])] = kept[i];
    }
    for (std::size_t i = 0; i < reduced.size(); ++i) {
      all[static_cast<std::size_t>(axes_.reduced_axes[i])] = reduced[i];
    }
    code += fmt::format("const i64 {} = {};\n", name, offset_text(all, loop_.strides()));
    return {loop_, std::move(all), name};
  }

  /// The first term of an output: what moments are shifted by.
  std::string write_shift(std::string& code, const Node& reduction,
                          const std::vector<std::string>& kept, const std::string& name) const {
    const std::vector<std::string> zeros(axes_.reduced_axes.size(), "0u");
    code += fmt::format("float {};\n{{\n", name);
    ElementWriter writer(code, region_, place(code, kept, zeros, "first"));
    code += fmt::format("{} = {};\n}}\n", name, writer.value(reduction.input(0)));
    return name;
  }

  [[nodiscard]] ReducePlan plan() const {
    ReducePlan plan;
    plan.kept = axes_.kept;
    plan.reduced = axes_.reduced;
    plan.reduced_fast =
        axes_.reduced_axes.empty() ||
        (!axes_.reduced_axes.empty() && axes_.reduced_axes.back() == loop_.rank() - 1);
    for (const Node* reduction : region_.reductions) {
      const Kind kind = kind_of(*reduction);
      plan.components += kind == Kind::moments ? "ss" : kind == Kind::max ? "m" : "s";
    }
    plan.flops_per_term = static_cast<double>(plan.components.size()) + 2;
    plan.term = [this](std::string& code, const std::string&, const auto& kept,
                       const auto& reduced) {
      std::vector<std::string> values;
      for (std::size_t n = 0; n < region_.reductions.size(); ++n) {
        if (kind_of(*region_.reductions[n]) == Kind::moments) {
          write_shift(code, *region_.reductions[n], kept, fmt::format("shift{}", n));
        }
      }
      ElementWriter writer(code, region_, place(code, kept, reduced, "i"));
      for (const int r : beside_) {
        const Value& result = region_.results[static_cast<std::size_t>(r)];
        code +=
            fmt::format("put({}, i, {});\n",
                        pointer_to(outputs()[static_cast<std::size_t>(r)], result.dtype(), true),
                        writer.value(result));
      }
      for (std::size_t n = 0; n < region_.reductions.size(); ++n) {
        const Node* reduction = region_.reductions[n];
        const std::string value = writer.value(reduction->input(0));
        if (kind_of(*reduction) == Kind::moments) {
          code += fmt::format("const float d{0} = {1} - shift{0};\n", n, value);
          values.push_back(fmt::format("d{}", n));
          values.push_back(fmt::format("d{0} * d{0}", n));
        } else {
          values.push_back(fmt::format("(float)({})", value));
        }
      }
      return values;
    };
    plan.store = [this](std::string& code, const std::string& out, const auto& kept,
                        const auto& totals) {
      std::size_t component = 0;
      for (std::size_t n = 0; n < region_.reductions.size(); ++n) {
        const Node& reduction = *region_.reductions[n];
        const Kind kind = kind_of(reduction);
        const double count = static_cast<double>(axes_.reduced.numel());
        if (kind == Kind::moments) {
          const std::string shift = write_shift(code, reduction, kept, fmt::format("shift{}", n));
          code += fmt::format("const float m{} = {} * {};\n", n, totals[component],
                              literal(1.0 / count, DType::f32));
          put(code, reduction, 0, out, fmt::format("{} + m{}", shift, n));
          put(code, reduction, 1, out,
              fmt::format("fmaxf({} * {} - m{}*m{}, 0.0f)", totals[component + 1],
                          literal(1.0 / count, DType::f32), n, n));
          component += 2;
          continue;
        }
        put(code, reduction, 0, out,
            kind == Kind::mean
                ? fmt::format("{} * {}", totals[component], literal(1.0 / count, DType::f32))
                : totals[component]);
        ++component;
      }
    };
    return plan;
  }

  /// Stores an output of a reduction wherever the launch has it as a result.
  void put(std::string& code, const Node& reduction, int index, const std::string& out,
           const std::string& value) const {
    for (std::size_t r = 0; r < region_.results.size(); ++r) {
      const Value& result = region_.results[r];
      if (result.node() != &reduction || result.index() != index) continue;
      code += fmt::format("put({}, {}, {});\n", pointer_to(outputs()[r], result.dtype(), true), out,
                          value);
    }
  }

  Region region_;
  Shape loop_;
  Axes axes_;
  std::vector<int> beside_;  ///< results of the loop's shape, stored on the way
  std::vector<int> apart_;   ///< results of smaller shapes
};

Support supports_reduce(const Node& node, const Backend&) {
  if (const Support types = check_types(node); !types) return types;
  const Region region = region_of(node, std::vector<int>(node.inputs().size()));
  if (region.reductions.empty()) return Support::no("it does not reduce");
  if (region.producer != nullptr) return Support::no("its producer runs apart");
  for (const Node* reduction : region.reductions) {
    if (kind_of(*reduction) == Kind::none) {
      return Support::no(fmt::format("{} is not a sum, maximum or moment", reduction->op().name));
    }
    const DType dtype = reduction->input_type(0).dtype;
    if (!is_float(dtype) && dtype != DType::i32 && dtype != DType::u8 && dtype != DType::i8) {
      return Support::no(fmt::format("it reduces {}", dtype_name(dtype)));
    }
  }
  return Support::yes();
}

std::unique_ptr<Kernel> make_reduce(const KernelProblem& problem, const Backend& backend) {
  return std::make_unique<ReduceKernel>(problem, backend);
}

}  // namespace

void register_reduce_kernels(KernelTable& table) {
  for (const OpDef* op : {&sum_op(), &mean_op(), &reduce_max_op(), &moments_op(), &fused_op()}) {
    table.register_kernel(op->name, {"reduce", supports_reduce, make_reduce});
  }
}

}  // namespace ingot::cuda
