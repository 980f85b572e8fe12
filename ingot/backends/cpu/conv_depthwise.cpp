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

/// conv2d in plain layouts may have several channels of the output for each of the input.
bool is_plain_correlate(const ConvProblem& p, ConvKind kind, const ConvValues& values) {
  const bool one_each = p.groups > 1 && p.groups == p.ic;
  return one_each && (p.depthwise() || kind == ConvKind::forward) &&
         kind != ConvKind::weight_grad && values.x->layout.is_plain() &&
         values.w->layout.is_plain() && values.y->layout.is_plain();
}

Support supports_plain(const ConvProblem& p) {
  // Fewer would leave most of a vector empty.
  constexpr std::int64_t kFewChannels = 4;
  if (p.oc < kFewChannels) {
    return Support::no(fmt::format("takes {} channels and more, got {}", kFewChannels, p.oc));
  }
  // Few products for each element do not pay for gathering it; shifted rows fill vectors, too.
  constexpr std::int64_t kWideRow = 64;
  if (p.ow >= kWideRow && p.kw <= 3 && p.stride_w == 1) {
    return Support::no(fmt::format("leaves rows of {} columns to direct products", p.ow));
  }
  return Support::yes();
}

/// Blocks of channels, where oneDNN has a kernel, too.
Support beside_library(const ConvProblem& p, ConvKind kind) {
  if (kind == ConvKind::weight_grad) {
    if (p.ow >= kLongRow) return Support::yes();
    return Support::no(fmt::format("leaves rows of {} columns to oneDNN", p.ow));
  }
  // Ours reads a column once for all taps, which pays for many of them; oneDNN's data gradients
  // begin and end rows slowly, and those of strides compute with zeros.
  const std::int64_t widest = p.stride_w == 1 ? 7 : 5;
  const bool code = p.dilation_w == 1 && p.kw % 2 == 1 && p.kw >= 3 && p.kw <= widest;
  const bool gradient = kind == ConvKind::input_grad;
  constexpr std::int64_t kShortRow = 8;
  if (code && p.stride_w == 1 && (p.kw == 7 || (gradient && p.iw <= kShortRow))) {
    return Support::yes();
  }
  if (code && gradient && p.stride_w == 2) return Support::yes();
  return Support::no(fmt::format(
      "leaves {}x{} kernels of stride {} and dilation {} on rows of {} columns to oneDNN", p.kh,
      p.kw, p.stride_w, p.dilation_w, p.iw));
}

Support supports(const Node& node, const Backend& backend) {
  const ConvValues values = conv_values(node);
  if (values.x->type.dtype != DType::f32) {
    return Support::no(fmt::format("takes f32, got {}", dtype_name(values.x->type.dtype)));
  }
  const ConvProblem problem = ConvProblem::of(node);
  const ConvKind kind = conv_kind(node);
  if (problem.n == 0) return Support::no("takes no empty tensors");
  if (is_plain_correlate(problem, kind, values)) return supports_plain(problem);
  if (!problem.depthwise()) return Support::no("takes a group for each channel");
  const std::int64_t block = depthwise_block(values);
  if (block == 0 || problem.ic % block != 0) {
    return Support::no(
        fmt::format("takes full blocks of channels, got input {}, weights {}, output {}",
                    values.x->layout.to_string(4), values.w->layout.to_string(4),
                    values.y->layout.to_string(4)));
  }
  return library_takes(node, backend) ? beside_library(problem, kind) : Support::yes();
}

std::unique_ptr<Kernel> create(const KernelProblem& problem, const Backend& backend) {
  if (conv_kind(problem.node) != ConvKind::weight_grad) {
    return make_depthwise_correlate(problem, as_cpu(backend));
  }
  return std::make_unique<DepthwiseWeightGrad>(problem, as_cpu(backend));
}

}  // namespace

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

KernelCandidate depthwise_conv_candidate() { return {"depthwise", supports, create}; }

}  // namespace ingot::cpu
