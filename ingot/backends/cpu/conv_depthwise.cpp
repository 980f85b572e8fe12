#include "ingot/backends/cpu/conv_depthwise.h"

#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cpu/conv_depthwise_simd.h"
#include "ingot/backends/cpu/conv_direct.h"
#include "ingot/backends/cpu/conv_onednn.h"
#include "ingot/backends/cpu/conv_weights.h"
#include "ingot/backends/cpu/cpu_kernels.h"

namespace ingot::cpu {
namespace {

/// Groups of images whose sums are kept apart.
constexpr std::int64_t kMostGroups = 16;
/// With shorter rows than these oneDNN is faster, where it has a kernel.
constexpr std::int64_t kLongRow = 48;

/// Channels per block of all three Values; 0 when they lie in other layouts.
std::int64_t depthwise_block(const ConvValues& values) {
  for (const std::int64_t block : {8, 16}) {
    const Layout activation = Layout::channels_blocked(block);
    if (values.x->layout == activation && values.y->layout == activation &&
        values.w->layout == Layout({}, {{0, block}})) {
      return block;
    }
  }
  return 0;
}

class DepthwiseWeightGrad final : public Kernel {
 public:
  DepthwiseWeightGrad(const KernelProblem& problem, const CpuBackend& backend)
      : problem_(ConvProblem::of(problem.node)),
        slots_(problem),
        pool_(backend.pool()),
        block_(depthwise_block(conv_values(problem.node))),
        groups_(slice_batch(problem_.n, kMostGroups)),
        plane_(depthwise_plane()) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "depthwise"; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return 4 * problem_.weights() * (groups_.count - 1);
  }

  void run(const KernelContext& context) noexcept override {
    const float* x = context.at<float>(slots_.x);
    const float* g = context.at<float>(slots_.y);
    float* w = context.at<float>(slots_.w);
    auto* partials = reinterpret_cast<float*>(context.scratch);
    const std::int64_t blocks = problem_.ic / block_;
    const std::int64_t block_size = problem_.kh * problem_.kw * block_;
    const std::int64_t x_plane = problem_.ih * problem_.iw * block_;
    const std::int64_t g_plane = problem_.oh * problem_.ow * block_;
    pool_.parallel_for(groups_.count * blocks, [&](std::int64_t task, int) {
      const std::int64_t group = task / blocks;
      const std::int64_t block = task % blocks;
      // Group 0 writes the result itself, the others partial sums.
      float* sums = group == 0 ? w : partials + (group - 1) * problem_.weights();
      sums += block * block_size;
      std::fill_n(sums, block_size, 0.0F);
      const std::int64_t first = group * groups_.images;
      for (std::int64_t n = first; n < first + groups_.images_of(group); ++n) {
        plane_(problem_, block_, x + (n * blocks + block) * x_plane,
               g + (n * blocks + block) * g_plane, sums);
      }
    });
    add_partials(w, partials, problem_.weights(), groups_.count - 1, problem_.weights(), pool_);
  }

 private:
  ConvProblem problem_;
  ConvSlots slots_;
  ThreadPool& pool_;
  std::int64_t block_;
  BatchSlices groups_;
  DepthwisePlane plane_;
};

bool library_takes([[maybe_unused]] const Node& node, [[maybe_unused]] const Backend& backend) {
#ifdef INGOT_HAVE_ONEDNN
  return onednn_conv_candidate().supports(node, backend).ok;
#else
  return false;
#endif
}

Support supports(const Node& node, const Backend& backend) {
  const ConvValues values = conv_values(node);
  if (values.x->type.dtype != DType::f32) {
    return Support::no(fmt::format("takes f32, got {}", dtype_name(values.x->type.dtype)));
  }
  const ConvProblem problem = ConvProblem::of(node);
  if (!problem.depthwise()) return Support::no("takes a group for each channel");
  const std::int64_t block = depthwise_block(values);
  if (block == 0 || problem.ic % block != 0) {
    return Support::no(
        fmt::format("takes full blocks of channels, got input {}, weights {}, output {}",
                    values.x->layout.to_string(4), values.w->layout.to_string(4),
                    values.y->layout.to_string(4)));
  }
  if (problem.n == 0) return Support::no("takes no empty tensors");
  if (problem.ow < kLongRow && library_takes(node, backend)) {
    return Support::no(fmt::format("leaves rows of {} columns to oneDNN", problem.ow));
  }
  return Support::yes();
}

std::unique_ptr<Kernel> create(const KernelProblem& problem, const Backend& backend) {
  return std::make_unique<DepthwiseWeightGrad>(problem, as_cpu(backend));
}

}  // namespace

KernelCandidate depthwise_weight_grad_candidate() { return {"depthwise", supports, create}; }

}  // namespace ingot::cpu
