#ifdef INGOT_HAVE_ONEDNN
#include "ingot/backends/cpu/conv_onednn.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "ingot/backends/cpu/conv_direct.h"
#include "ingot/backends/cpu/conv_problem.h"
#include "ingot/backends/cpu/conv_weights.h"
#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/onednn_conv.h"
#include "ingot/backends/cpu/sliced_kernel.h"
#include "ingot/base/error.h"
#include "ingot/ir/op_def.h"

namespace ingot::cpu {
namespace {

using onednn::ConvLayouts;
using onednn::ConvPrimitive;

ConvLayouts layouts_of(const Node& node) {
  const ConvValues values = conv_values(node);
  return {values.x->layout.to_string(4), values.w->layout.to_string(4),
          values.y->layout.to_string(4)};
}

/// The layout in which the primitive reads or writes weights that the Graph has in `layouts.w`.
std::string primitive_weights(const ConvProblem& problem, ConvKind kind, ConvLayouts layouts) {
  if (kind == ConvKind::input_grad) {
    const std::string given = std::exchange(layouts.w, "any");
    std::string own = ConvPrimitive::choose_weights(problem, kind, layouts);
    WeightSwap swap;
    if (own == given || weight_swap_between(given, own, swap)) return own;
    layouts.w = given;
  }
  return ConvPrimitive::choose_weights(problem, kind, layouts);
}

Support supports(const Node& node, const Backend&) {
  const ConvValues values = conv_values(node);
  for (const Node::Output* value : {values.x, values.w, values.y}) {
    if (value->type.dtype != DType::f32) {
      return Support::no(fmt::format("takes f32, got {}", dtype_name(value->type.dtype)));
    }
    if (value->type.numel() == 0) return Support::no("takes no empty tensors");
  }
  const ConvLayouts layouts = layouts_of(node);
  if (primitive_weights(ConvProblem::of(node), conv_kind(node), layouts).empty()) {
    return Support::no(fmt::format("no generated code for input {}, weights {}, output {}",
                                   layouts.x, layouts.w, layouts.y));
  }
  return Support::yes();
}

/// How the work is cut: slices of the batch and, where it is too small for that, parts of the
/// channels of what is computed.
struct Cut {
  BatchSlices slices;
  std::int64_t parts = 1;

  /// What one part computes.
  [[nodiscard]] ConvProblem part_of(ConvProblem problem, ConvKind kind) const noexcept {
    (kind == ConvKind::forward ? problem.oc : problem.ic) /= parts;
    return problem;
  }
};

/// `in_order`: the primitive reads the Graph's weights, not a copy that could be cut in any way.
Cut cut_work(const ConvProblem& problem, ConvKind kind, const ConvLayouts& layouts, bool in_order) {
  if (kind == ConvKind::weight_grad) return {group_batch(problem)};
  constexpr std::int64_t kWidestBlock = 16;
  const std::int64_t channels = kind == ConvKind::forward ? problem.oc : problem.ic;
  for (const std::int64_t parts : {8, 4, 2}) {
    const bool can_cut = kind == ConvKind::forward || !in_order;
    const bool small = can_cut && problem.groups == 1 && problem.n * parts <= 16 && problem.n <= 4;
    const bool worthwhile = problem.flops_per_image() >= 2e6 * static_cast<double>(parts);
    if (!small || !worthwhile || channels % (parts * kWidestBlock) != 0) continue;
    const Cut cut{{.images = 1, .count = problem.n, .rest = 1}, parts};
    ConvProblem part = cut.part_of(problem, kind);
    part.n = 1;
    if (ConvPrimitive::choose_weights(part, kind, layouts) == layouts.w) return cut;
  }
  return {slice_batch(problem)};
}

std::unique_ptr<ConvPrimitive> make_primitive(ConvProblem problem, std::int64_t images,
                                              ConvKind kind, const ConvLayouts& layouts,
                                              int workers) {
  problem.n = images;
  auto primitive = ConvPrimitive::make(problem, kind, layouts, {}, workers);
  if (!primitive) {
    throw internal_error(fmt::format("onednn: a convolution of {} images has no kernel", images));
  }
  return primitive;
}

std::int64_t aligned(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// What the three have in common: one primitive for the full slices, one for the rest.
class OnednnConv : public SlicedKernel {
 public:
  OnednnConv(const KernelProblem& problem, const CpuBackend& backend)
      : SlicedKernel(backend.pool()),
        problem_(ConvProblem::of(problem.node)),
        kind_(conv_kind(problem.node)),
        slots_(problem) {
    ConvLayouts layouts = layouts_of(problem.node);
    const std::string given = std::exchange(layouts.w, primitive_weights(problem_, kind_, layouts));
    const Cut cut = cut_work(problem_, kind_, layouts, layouts.w == given);
    slices_ = cut.slices;
    parts_ = cut.parts;
    const ConvProblem part = cut.part_of(problem_, kind_);
    primitive_ = make_primitive(part, slices_.images, kind_, layouts, pool_.size());
    if (slices_.rest != slices_.images) {
      rest_ = make_primitive(part, slices_.rest, kind_, layouts, pool_.size());
    }
    scratch_each_ = std::max(primitive_->scratch_bytes(), rest_ ? rest_->scratch_bytes() : 0);
    name_ = fmt::format("onednn {}", primitive_->implementation());
  }

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return scratch_each_ * pool_.size();
  }
  [[nodiscard]] std::int64_t slices() const noexcept override { return slices_.count * parts_; }

 protected:
  /// Runs the primitive on a slice; fills `result` with NaN, which the step reports, should oneDNN
  /// fail.
  void run_primitive(std::int64_t slice, int worker, const ConvPrimitive::Args& args, float* result,
                     std::int64_t result_size) noexcept {
    ConvPrimitive& primitive = slice + 1 == slices_.count && rest_ ? *rest_ : *primitive_;
    if (!primitive.run(worker, args)) {
      std::fill_n(result, result_size, std::numeric_limits<float>::quiet_NaN());
    }
  }
  /// A slice's part of a result with images of so many elements.
  [[nodiscard]] SliceRange range_of(std::int64_t slice, std::int64_t image) const noexcept {
    if (parts_ > 1) return {slice * (image / parts_), (slice + 1) * (image / parts_)};
    const std::int64_t first = slice * slices_.images;
    return {first * image, (first + slices_.images_of(slice)) * image};
  }
  /// First element of a slice in an operand with images of so many elements.
  [[nodiscard]] std::int64_t first_of(std::int64_t slice, std::int64_t image) const noexcept {
    return slice / parts_ * slices_.images * image;
  }
  /// First element of the weights of a slice's part.
  [[nodiscard]] std::int64_t first_weight(std::int64_t slice) const noexcept {
    return slice % parts_ * (problem_.weights() / parts_);
  }
  [[nodiscard]] std::byte* worker_scratch(const KernelContext& context, int worker) const noexcept {
    return context.scratch + worker * scratch_each_;
  }
  /// Scratch behind that of the primitives.
  [[nodiscard]] float* own_scratch(const KernelContext& context) const noexcept {
    return reinterpret_cast<float*>(context.scratch + OnednnConv::scratch_bytes());
  }

  ConvProblem problem_;
  ConvKind kind_;
  ConvSlots slots_;
  BatchSlices slices_;
  std::int64_t parts_ = 1;  ///< more than 1: slices are single images
  std::unique_ptr<ConvPrimitive> primitive_;
  std::unique_ptr<ConvPrimitive> rest_;  ///< null: every slice is full
  std::int64_t scratch_each_ = 0;
  std::string name_;
};

class OnednnConvForward final : public OnednnConv {
 public:
  using OnednnConv::OnednnConv;

  void run_slice(const KernelContext& context, std::int64_t slice, int worker) noexcept override {
    const auto [begin, end] = range(slice);
    float* y = context.at<float>(slots_.y) + begin;
    run_primitive(slice, worker,
                  {.x = context.at<float>(slots_.x) + first_of(slice, problem_.x_image()),
                   .w = context.at<float>(slots_.w) + first_weight(slice),
                   .y = y,
                   .scratch = worker_scratch(context, worker)},
                  y, end - begin);
  }
  [[nodiscard]] bool has_ranges() const noexcept override { return true; }
  [[nodiscard]] SliceRange range(std::int64_t slice) const noexcept override {
    return range_of(slice, problem_.y_image());
  }
};

class OnednnConvInputGrad final : public OnednnConv {
 public:
  OnednnConvInputGrad(const KernelProblem& problem, const CpuBackend& backend)
      : OnednnConv(problem, backend) {
    const std::string given = layouts_of(problem.node).w;
    if (weight_swap_between(given, primitive_->weights_layout(), swap_)) {
      swap_.out_blocks = problem_.oc / swap_.block;
      swap_.in_blocks = problem_.ic / problem_.groups / swap_.block;
      swap_.taps = problem_.kh * problem_.kw;
      swap_.parts = parts_;
    }
  }

  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return OnednnConv::scratch_bytes() + (swap_.block > 0 ? aligned(4 * problem_.weights()) : 0);
  }

  void prepare(const KernelContext& context) noexcept override {
    if (swap_.block > 0) swap_.run(context.at<float>(slots_.w), own_scratch(context), pool_);
  }
  void run_slice(const KernelContext& context, std::int64_t slice, int worker) noexcept override {
    float* w = swap_.block > 0 ? own_scratch(context) : context.at<float>(slots_.w);
    const auto [begin, end] = range(slice);
    float* x = context.at<float>(slots_.x) + begin;
    run_primitive(slice, worker,
                  {.x = x,
                   .w = w + first_weight(slice),
                   .y = context.at<float>(slots_.y) + first_of(slice, problem_.y_image()),
                   .scratch = worker_scratch(context, worker)},
                  x, end - begin);
  }
  [[nodiscard]] bool has_ranges() const noexcept override { return true; }
  [[nodiscard]] SliceRange range(std::int64_t slice) const noexcept override {
    return range_of(slice, problem_.x_image());
  }

 private:
  WeightSwap swap_;  ///< block 0: the primitive reads the weights as they are
};

class OnednnConvWeightGrad final : public OnednnConv {
 public:
  OnednnConvWeightGrad(const KernelProblem& problem, const CpuBackend& backend)
      : OnednnConv(problem, backend), partial_(aligned(4 * problem_.weights()) / 4) {}

  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return OnednnConv::scratch_bytes() + 4 * partial_ * (slices_.count - 1);
  }

  /// Group 0 writes the result itself, the others partial sums.
  void run_slice(const KernelContext& context, std::int64_t group, int worker) noexcept override {
    float* w =
        group == 0 ? context.at<float>(slots_.w) : own_scratch(context) + (group - 1) * partial_;
    run_primitive(group, worker,
                  {.x = context.at<float>(slots_.x) + first_of(group, problem_.x_image()),
                   .w = w,
                   .y = context.at<float>(slots_.y) + first_of(group, problem_.y_image()),
                   .scratch = worker_scratch(context, worker)},
                  w, problem_.weights());
  }
  [[nodiscard]] bool has_ranges() const noexcept override { return false; }
  [[nodiscard]] SliceRange range(std::int64_t) const noexcept override { return {}; }

  void run(const KernelContext& context) noexcept override {
    OnednnConv::run(context);
    add_partials(context.at<float>(slots_.w), own_scratch(context), partial_, slices_.count - 1,
                 problem_.weights(), pool_);
  }

 private:
  std::int64_t partial_;  ///< floats from one partial sum to the next
};

std::unique_ptr<Kernel> create(const KernelProblem& problem, const Backend& backend) {
  switch (conv_kind(problem.node)) {
    case ConvKind::forward: return std::make_unique<OnednnConvForward>(problem, as_cpu(backend));
    case ConvKind::input_grad:
      return std::make_unique<OnednnConvInputGrad>(problem, as_cpu(backend));
    case ConvKind::weight_grad: break;
  }
  return std::make_unique<OnednnConvWeightGrad>(problem, as_cpu(backend));
}

}  // namespace

KernelCandidate onednn_conv_candidate() { return {"onednn", supports, create}; }

}  // namespace ingot::cpu
#endif  // INGOT_HAVE_ONEDNN
