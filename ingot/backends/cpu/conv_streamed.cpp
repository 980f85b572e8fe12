#include "ingot/backends/cpu/conv_streamed.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "ingot/backends/cpu/conv_direct.h"
#include "ingot/backends/cpu/conv_streamed_simd.h"
#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/sliced_kernel.h"
#include "ingot/ir/op_def.h"

namespace ingot::cpu {
namespace {

// With more pixels a row's weights are used again soon enough, and other kernels read less.
constexpr std::int64_t kMostPixels = 64;
// Fewer weights stay in the second-level cache from row to row.
constexpr std::int64_t kLeastWeights = 64 << 10;

class StreamedConv final : public SlicedKernel {
 public:
  StreamedConv(const KernelProblem& problem, const CpuBackend& backend)
      : SlicedKernel(backend.pool()),
        problem_(ConvProblem::of(problem.node)),
        slots_(problem),
        block_(common_block(conv_values(problem.node))),
        product_(streamed_product(block_)),
        in_blocks_(problem_.ic / block_),
        out_blocks_(problem_.oc / block_),
        vectors_(in_blocks_ * problem_.kh * problem_.kw),
        pixels_(problem_.oh * problem_.ow),
        stretches_((vectors_ + kStreamedDepth - 1) / kStreamedDepth) {
    constexpr std::int64_t kSlices = 16;
    slices_ = std::min(out_blocks_, kSlices);
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "streamed"; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return 4 * stretches_ * stretch();
  }
  [[nodiscard]] std::int64_t slices() const noexcept override { return slices_; }

  /// What each pixel's sum reads, a row a pixel, in stretches of the depth.
  void prepare(const KernelContext& context) noexcept override {
    const float* x = context.at<float>(slots_.x);
    float* to = reinterpret_cast<float*>(context.scratch);
    pool_.parallel_for(stretches_, [&](std::int64_t s, int) {
      for (std::int64_t v = s * kStreamedDepth; v < std::min((s + 1) * kStreamedDepth, vectors_);
           ++v) {
        gather(x, v, to + s * stretch() + v % kStreamedDepth * block_);
      }
    });
  }

  void run_slice(const KernelContext& context, std::int64_t slice, int) noexcept override {
    const float* x = reinterpret_cast<const float*>(context.scratch);
    const float* bias = bias_ >= 0 ? context.at<float>(bias_) : nullptr;
    for (std::int64_t out = first_of(slice); out < first_of(slice + 1); ++out) {
      const float* w = context.at<float>(slots_.w) + out * vectors_ * block_ * block_;
      for (std::int64_t s = 0; s < stretches_; ++s) {
        const std::int64_t from = s * kStreamedDepth;
        const bool last = s + 1 == stretches_;
        product_({.x = x + s * stretch(),
                  .w = w + from * block_ * block_,
                  .y = context.at<float>(slots_.y) + out * pixels_ * block_,
                  .pixels = pixels_,
                  .depth = std::min(kStreamedDepth, vectors_ - from) * block_,
                  .add = s > 0,
                  .bias = last && bias != nullptr ? bias + out * block_ : nullptr,
                  .relu = last && relu_});
      }
    }
  }

  bool absorb(int bias, bool relu) override {
    bias_ = bias;
    relu_ = relu;
    return true;
  }
  [[nodiscard]] bool has_ranges() const noexcept override { return true; }
  [[nodiscard]] SliceRange range(std::int64_t slice) const noexcept override {
    return {first_of(slice) * pixels_ * block_, first_of(slice + 1) * pixels_ * block_};
  }

 private:
  [[nodiscard]] std::int64_t first_of(std::int64_t slice) const noexcept {
    return slice * out_blocks_ / slices_;
  }
  [[nodiscard]] std::int64_t stretch() const noexcept { return pixels_ * streamed_row(block_); }

  /// Of one tap and block of input channels, for all pixels.
  void gather(const float* x, std::int64_t vector, float* to) const noexcept {
    const ConvProblem& p = problem_;
    const std::int64_t taps = p.kh * p.kw;
    const std::int64_t row = vector % taps / p.kw * p.dilation_h - p.top;
    const std::int64_t column = vector % p.kw * p.dilation_w - p.left;
    const float* from = x + vector / taps * p.ih * p.iw * block_;
    const auto bytes = static_cast<std::size_t>(block_) * sizeof(float);
    for (std::int64_t oh = 0; oh < p.oh; ++oh) {
      const std::int64_t h = oh * p.stride_h + row;
      for (std::int64_t ow = 0; ow < p.ow; ++ow, to += streamed_row(block_)) {
        const std::int64_t w = ow * p.stride_w + column;
        if (h < 0 || h >= p.ih || w < 0 || w >= p.iw) {
          std::memset(to, 0, bytes);
        } else {
          std::memcpy(to, from + (h * p.iw + w) * block_, bytes);
        }
      }
    }
  }

  ConvProblem problem_;
  ConvSlots slots_;
  std::int64_t block_;
  StreamedProduct product_;
  std::int64_t in_blocks_, out_blocks_;
  std::int64_t vectors_;  ///< of inputs that a pixel's sum reads: one for each tap and block
  std::int64_t pixels_;
  std::int64_t stretches_;
  std::int64_t slices_ = 1;
  int bias_ = -1;
  bool relu_ = false;
};

Support supports(const Node& node, const Backend&) {
  if (Support blocks = has_full_blocks(node); !blocks) return blocks;
  const ConvProblem p = ConvProblem::of(node);
  if (p.n != 1) return Support::no(fmt::format("takes one image, got {}", p.n));
  if (p.groups != 1) return Support::no("takes no groups");
  const std::int64_t block = common_block(conv_values(node));
  if (streamed_product(block) == nullptr) {
    return Support::no(fmt::format("vectors are shorter than {} lanes", block));
  }
  const std::int64_t pixels = p.oh * p.ow;
  if (pixels == 0) return Support::no("takes no empty tensors");
  if (pixels > kMostPixels) {
    return Support::no(fmt::format("takes up to {} pixels, got {}", kMostPixels, pixels));
  }
  if (p.weights() < kLeastWeights) {
    return Support::no(fmt::format("takes {} weights or more, got {}", kLeastWeights, p.weights()));
  }
  return Support::yes();
}

std::unique_ptr<Kernel> create(const KernelProblem& problem, const Backend& backend) {
  return std::make_unique<StreamedConv>(problem, as_cpu(backend));
}

}  // namespace

KernelCandidate streamed_conv_candidate() { return {"streamed", supports, create}; }

}  // namespace ingot::cpu
