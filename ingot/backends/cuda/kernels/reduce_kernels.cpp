// Reductions, with the elementwise chains that they read and whatever else their Region stores.
#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/reduce_plan.h"
#include "ingot/backends/cuda/kernels/reduce_region.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/reduction.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

class ReduceKernel final : public CudaKernel {
 public:
  ReduceKernel(const KernelProblem& problem, const Backend&)
      : CudaKernel(problem, "reduce"),
        work_(node(), inputs(), outputs()),
        loop_(work_.loop()),
        axes_(work_.axes()) {}

  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    // Partial sums of the largest cut that may be asked for: over blocks, or over the batch.
    const std::int64_t outputs = axes_.kept.numel();
    std::int64_t splits = grid_splits(kMostMultiprocessors);
    if (work_.sums_only() && loop_.rank() > 0 && loop_[0] <= 1024)
      splits = std::max(splits, loop_[0]);
    return splits == 1 ? 0 : splits * outputs * 4 * std::ssize(work_.components());
  }

  [[nodiscard]] bool separable(std::int64_t items) const override {
    // An item that adds one term to a sum has nothing to add up.
    const bool sums_items_alone = axes_.reduced_axes == std::vector<int>{0};
    return loop_.rank() > 0 && loop_[0] == items && loop_.numel() > 0 &&
           !(sums_items_alone && work_.beside().empty());
  }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    std::vector<Stage> result;
    const Region& region = work_.region();
    if (!work_.apart().empty()) result = map_stages(request, *this, region, work_.apart());
    if (axes_.kept.numel() == 0 && work_.beside().empty()) return result;
    std::int64_t splits = request.mode == Mode::grid ? grid_splits(request.multiprocessors) : 1;
    if (request.mode == Mode::item && request.reduced) splits = request.items;
    Stage whole;
    whole.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    whole.accesses = all_accesses(request, *this);
    if (request.mode == Mode::item && request.reduced) {
      for (Access& access : whole.accesses) {
        if (access.write) access.by_item = false;
      }
      for (const int r : work_.beside()) {
        for (Access& access : whole.accesses) {
          if (access.slot == outputs()[static_cast<std::size_t>(r)]) access.by_item = true;
        }
      }
    }
    whole.bytes = work_.bytes();
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
  [[nodiscard]] ReducePlan plan() const {
    ReducePlan plan;
    plan.kept = axes_.kept;
    plan.reduced = axes_.reduced;
    plan.reduced_fast =
        axes_.reduced_axes.empty() ||
        (!axes_.reduced_axes.empty() && axes_.reduced_axes.back() == loop_.rank() - 1);
    plan.components = work_.components();
    plan.flops_per_term = static_cast<double>(plan.components.size()) + 2;
    plan.term = [this](std::string& code, const std::string&, const auto& kept,
                       const auto& reduced) { return write_term(code, kept, reduced); };
    const bool early = outputs().size() == 1 && work_.components() == "s";
    if (early) plan.early_slot = outputs()[0];
    plan.store = [this, early](std::string& code, const std::string& out, const auto& kept,
                               const auto& totals) {
      work_.store(code, out, kept, totals, {}, early);
    };
    return plan;
  }

  /// One term's components, once per element of the loop.
  std::vector<std::string> write_term(std::string& code, const std::vector<std::string>& kept,
                                      const std::vector<std::string>& reduced) const {
    const Region& region = work_.region();
    std::vector<std::string> values;
    for (std::size_t n = 0; n < region.reductions.size(); ++n) {
      if (reduce_kind(*region.reductions[n]) == ReduceKind::moments) {
        work_.write_shift(code, *region.reductions[n], kept, fmt::format("shift{}", n));
      }
    }
    ElementWriter writer(code, region, work_.place(code, kept, reduced, "i", "r"));
    for (const int r : work_.beside()) {
      const Value& result = region.results[static_cast<std::size_t>(r)];
      const std::string value = writer.value(result);
      code += store_text(outputs()[static_cast<std::size_t>(r)], result.dtype(), "i", value);
    }
    for (std::size_t n = 0; n < region.reductions.size(); ++n) {
      const Node* reduction = region.reductions[n];
      const std::string value = writer.value(reduction->input(0));
      if (reduce_kind(*reduction) == ReduceKind::moments) {
        code += fmt::format("const float d{0} = {1} - shift{0};\n", n, value);
        values.push_back(fmt::format("d{}", n));
        values.push_back(fmt::format("d{0} * d{0}", n));
      } else {
        values.push_back(fmt::format("(float)({})", value));
      }
    }
    return values;
  }

  ReduceRegion work_;
  const Shape& loop_;
  const ReduceAxes& axes_;
};

Support supports_reduce(const Node& node, const Backend&) {
  if (const Support types = check_types(node); !types) return types;
  return supports_reductions(region_of(node, std::vector<int>(node.inputs().size())));
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
