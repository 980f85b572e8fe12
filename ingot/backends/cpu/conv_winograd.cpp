#include "ingot/backends/cpu/conv_winograd.h"

#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cpu/conv_direct.h"
#include "ingot/backends/cpu/conv_weights.h"
#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/cpu_machine.h"
#include "ingot/backends/cpu/sliced_kernel.h"
#include "ingot/ir/op_def.h"

namespace ingot::cpu {
namespace {

/// conv2d or conv2d_input_grad.
class WinogradCorrelate final : public SlicedKernel {
 public:
  WinogradCorrelate(const KernelProblem& problem, const CpuBackend& backend)
      : SlicedKernel(backend.pool()),
        shape_(WinogradShape::of(problem.node)),
        forward_(conv_kind(problem.node) == ConvKind::forward),
        slots_(problem),
        grid_(shape_.out_rows, shape_.out_columns),
        code_(winograd_code()) {
    choose_tasks();
    choose_blocks(backend.caches().l2);
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "winograd"; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return 4 * (weights_ + worker_ * pool_.size());
  }
  [[nodiscard]] std::int64_t slices() const noexcept override { return ranges_ * parts_; }

  void prepare(const KernelContext& context) noexcept override {
    if (weights_ == 0) return;
    float* to = reinterpret_cast<float*>(context.scratch);
    pool_.parallel_for(parts_ * depths_, [&](std::int64_t task, int) {
      transform_weights(context, task / depths_, task % depths_, to + task * panel());
    });
  }

  void run_slice(const KernelContext& context, std::int64_t slice, int worker) noexcept override {
    float* scratch = reinterpret_cast<float*>(context.scratch) + weights_ + worker * worker_;
    const std::int64_t part = slice % parts_;
    const std::int64_t range = slice / parts_;
    const std::int64_t total = shape_.n * grid_.image();
    const std::int64_t begin = first_of(range);
    const std::int64_t end = std::min(first_of(range + 1), total);
    for (std::int64_t tile = begin; tile < end; tile += tiles_) {
      run_block(context, scratch, part, tile, std::min(tile + tiles_, end));
    }
  }

  bool absorb(int bias, bool relu) override {
    bias_ = bias;
    relu_ = relu;
    return true;
  }
  [[nodiscard]] bool has_ranges() const noexcept override { return images_ > 0 && parts_ == 1; }
  [[nodiscard]] SliceRange range(std::int64_t slice) const noexcept override {
    const std::int64_t image = shape_.out * shape_.out_rows * shape_.out_columns;
    return {slice * images_ * image, std::min((slice + 1) * images_, shape_.n) * image};
  }

 private:
  /// From the shape alone.
  void choose_tasks() {
    // Products over fewer tiles would wait for the weights.
    constexpr std::int64_t kLeastTiles = 64;
    constexpr std::int64_t kTasks = 8;
    constexpr std::int64_t kNarrow = 64;  // channels
    const std::int64_t image = grid_.image();
    const std::int64_t total = shape_.n * image;
    const std::int64_t together = std::max<std::int64_t>((kLeastTiles + image - 1) / image, 1);
    const std::int64_t widest = std::max<std::int64_t>(shape_.out / kNarrow, 1);
    if (shape_.n >= together * kTasks) {
      images_ = together;
      ranges_ = (shape_.n + images_ - 1) / images_;
      return;
    }
    // Many weights for few tiles are transformed and read once.
    if (2 * widest >= kTasks && total <= 4 * kLeastTiles) {
      images_ = shape_.n;
    } else {
      // Whole images where their number allows it.
      const std::int64_t most = std::clamp<std::int64_t>(total / kLeastTiles, 1, kTasks);
      ranges_ = most;
      while (2 * ranges_ > most && shape_.n % ranges_ != 0) --ranges_;
      if (shape_.n % ranges_ == 0) {
        images_ = shape_.n / ranges_;
      } else {
        ranges_ = most;
      }
    }
    parts_ = std::clamp<std::int64_t>(kTasks / ranges_, 1, widest);
    while (shape_.out % (parts_ * shape_.block) != 0) --parts_;
  }

  void choose_blocks(std::int64_t l2) {
    // Rounding grows with the stretch that one sum runs over, more where products round, too: plain
    // C++, of one lane, has no fused multiply-add.
    const std::int64_t deepest = simd_f32_lanes() == 1 ? 32 : 128;
    part_ = shape_.out / parts_;
    const std::int64_t total = ranges_ == 1 ? shape_.n * grid_.image() : first_of(1);
    // Channels summed over at a time: the transformed tiles should stay in the cache, and the
    // weights, too, where each task makes its own.
    const bool in_task = ranges_ == 1;
    const auto bytes = [&](std::int64_t tiles) {
      return 4 * kWinogradPlanes * (tiles * (depth_ + part_) + (in_task ? depth_ * part_ : 0));
    };
    depth_ = shape_.in;
    while (depth_ % (2 * shape_.block) == 0 &&
           (depth_ > deepest || (in_task && depth_ > 32 && bytes(total) > l2))) {
      depth_ /= 2;
    }
    depths_ = shape_.in / depth_;
    const std::int64_t most =
        in_task ? total : std::clamp<std::int64_t>(l2 / 2 / bytes(1), 24, 512);
    const std::int64_t blocks = (total + most - 1) / most;
    tiles_ = (total + blocks - 1) / blocks;
    // A step that is no power of two: the planes must not fall onto the same lines of the cache.
    input_plane_ = tiles_ * depth_ + 16;
    sum_plane_ = tiles_ * part_ + 16;
    if (!in_task) weights_ = winograd_aligned(parts_ * depths_ * panel());
    worker_ =
        winograd_aligned(kWinogradPlanes * (input_plane_ + sum_plane_) + (in_task ? panel() : 0));
  }

  [[nodiscard]] std::int64_t first_of(std::int64_t range) const noexcept {
    if (images_ > 0) return range * images_ * grid_.image();
    return range * shape_.n * grid_.image() / ranges_;
  }
  /// Transformed weights of one part of the outputs and one stretch of the channels summed over.
  [[nodiscard]] std::int64_t panel() const noexcept { return kWinogradPlanes * depth_ * part_; }

  void transform_weights(const KernelContext& context, std::int64_t part, std::int64_t depth,
                         float* to) const noexcept {
    const float* weights = context.at<float>(slots_.w);
    const std::int64_t block = shape_.block;
    const std::int64_t in_blocks = (forward_ ? shape_.in : shape_.out) / block;
    const WinogradWeights args{.block = block, .row = part_, .plane = depth_ * part_};
    for (std::int64_t k = 0; k < depth_; k += block) {
      for (std::int64_t o = 0; o < part_; o += block) {
        const std::int64_t from = (depth * depth_ + k) / block;
        const std::int64_t out = (part * part_ + o) / block;
        const std::int64_t at = forward_ ? out * in_blocks + from : from * in_blocks + out;
        const auto transform = forward_ ? code_.weights : code_.flipped_weights;
        transform(args, weights + at * 9 * block * block, to + k * part_ + o);
      }
    }
  }

  void run_block(const KernelContext& context, float* scratch, std::int64_t part,
                 std::int64_t begin, std::int64_t end) const noexcept {
    float* tiles = scratch;
    float* sums = tiles + kWinogradPlanes * input_plane_;
    for (std::int64_t depth = 0; depth < depths_; ++depth) {
      const float* weights =
          reinterpret_cast<const float*>(context.scratch) + (part * depths_ + depth) * panel();
      if (weights_ == 0) {
        float* own = sums + kWinogradPlanes * sum_plane_;
        transform_weights(context, part, depth, own);
        weights = own;
      }
      transform_input(context, depth * depth_, begin, end, tiles);
      for (std::int64_t plane = 0; plane < kWinogradPlanes; ++plane) {
        code_.product({.a = tiles + plane * input_plane_,
                       .b = weights + plane * depth_ * part_,
                       .c = sums + plane * sum_plane_,
                       .m = end - begin,
                       .n = part_,
                       .k = depth_,
                       .lda = depth_,
                       .ldb = part_,
                       .ldc = part_,
                       .add = depth > 0});
      }
    }
    transform_output(context, part * part_, begin, end, sums);
  }

  void transform_input(const KernelContext& context, std::int64_t first, std::int64_t begin,
                       std::int64_t end, float* to) const noexcept {
    const float* from = context.at<float>(forward_ ? slots_.x : slots_.y);
    const std::int64_t pixels = shape_.in_rows * shape_.in_columns;
    grid_.for_each_run(begin, end, [&](auto image, auto row, auto column, auto tiles, auto index) {
      const WinogradTiles args = shape_.inputs(row, column, tiles, depth_, input_plane_);
      for (std::int64_t c = 0; c < depth_; c += shape_.block) {
        code_.input(args, from + (image * shape_.in + first + c) * pixels, to + index * depth_ + c);
      }
    });
  }

  void transform_output(const KernelContext& context, std::int64_t first, std::int64_t begin,
                        std::int64_t end, const float* sums) const noexcept {
    float* result = context.at<float>(forward_ ? slots_.y : slots_.x);
    const float* bias = bias_ >= 0 ? context.at<float>(bias_) : nullptr;
    const std::int64_t pixels = shape_.out_rows * shape_.out_columns;
    grid_.for_each_run(begin, end, [&](auto image, auto row, auto column, auto tiles, auto index) {
      const WinogradTiles args = shape_.outputs(row, column, tiles, part_, sum_plane_);
      for (std::int64_t c = 0; c < part_; c += shape_.block) {
        code_.output(args, {.bias = bias ? bias + first + c : nullptr, .relu = relu_},
                     sums + index * part_ + c, result + (image * shape_.out + first + c) * pixels);
      }
    });
  }

  WinogradShape shape_;
  bool forward_;
  ConvSlots slots_;
  WinogradGrid grid_;
  WinogradCode code_;
  std::int64_t images_ = 0;              ///< of a range of tiles; 0: ranges cut images
  std::int64_t ranges_ = 1, parts_ = 1;  ///< of the tiles and of the output channels
  std::int64_t part_ = 0;                ///< output channels
  std::int64_t depth_ = 0, depths_ = 1;  ///< channels summed over at a time
  std::int64_t tiles_ = 0;               ///< at a time
  std::int64_t input_plane_ = 0, sum_plane_ = 0;
  std::int64_t weights_ = 0;  ///< floats of all transformed weights; 0: each task makes its own
  std::int64_t worker_ = 0;   ///< floats of a worker's scratch
  int bias_ = -1;
  bool relu_ = false;
};

/// Outputs along one axis that each of the three taps reaches, added up.
double reach(std::int64_t size, std::int64_t before, std::int64_t input) {
  double total = 0;
  for (std::int64_t tap = 0; tap < 3; ++tap) {
    const std::int64_t begin = std::max<std::int64_t>(before - tap, 0);
    const std::int64_t end = std::min(size, input + before - tap);
    total += static_cast<double>(std::max<std::int64_t>(end - begin, 0));
  }
  return total;
}

/// Time of Winograd's algorithm in that of direct products, both in vector operations: a product
/// takes one, and the transformations what their loads, sums and stores were measured to take.
double relative_time(const ConvProblem& p, ConvKind kind, std::int64_t block) {
  constexpr double kInput = 70, kOutput = 60, kWeights = 80, kFlippedWeights = 200;
  const auto in = static_cast<double>(p.ic);
  const auto out = static_cast<double>(p.oc);
  const double vectors = 1 / static_cast<double>(block);
  const auto n = static_cast<double>(p.n);
  // Zeros of the padding are multiplied, too, unlike in direct products.
  const double direct =
      n * reach(p.oh, p.top, p.ih) * reach(p.ow, p.left, p.iw) * in * out * vectors;
  const bool gradient = kind == ConvKind::input_grad;
  const WinogradGrid grid(gradient ? p.ih : p.oh, gradient ? p.iw : p.ow);
  const double tiles = n * static_cast<double>(grid.image());
  const double weights = gradient ? kFlippedWeights : kWeights;
  const double transforms = tiles * (kInput * in + kOutput * out) + weights * in * out;
  return (16 * tiles * in * out + transforms) * vectors / direct;
}

Support supports(const Node& node, const Backend&) {
  const ConvValues values = conv_values(node);
  if (values.x->type.dtype != DType::f32) return has_full_blocks(node);
  const ConvProblem p = ConvProblem::of(node);
  if (p.kh != 3 || p.kw != 3) return Support::no(fmt::format("takes 3x3, got {}x{}", p.kh, p.kw));
  if (p.stride_h != 1 || p.stride_w != 1) return Support::no("takes stride 1 alone");
  if (p.dilation_h != 1 || p.dilation_w != 1) return Support::no("takes no dilation");
  if (p.groups != 1) return Support::no("takes no groups");
  const std::int64_t padding = std::max({p.top, p.bottom, p.left, p.right});
  if (padding > 2) return Support::no(fmt::format("takes padding up to 2, got {}", padding));
  if (p.n == 0) return Support::no("takes no empty tensors");
  if (Support blocks = has_full_blocks(node); !blocks) return blocks;
  const std::int64_t block = common_block(values);
  const double time = relative_time(p, conv_kind(node), block);
  constexpr double kWorthwhile = 0.85;
  if (time > kWorthwhile) {
    return Support::no(
        fmt::format("would take {:.2f} times as long as direct products are estimated to", time));
  }
  return Support::yes();
}

std::unique_ptr<Kernel> create(const KernelProblem& problem, const Backend& backend) {
  return conv_kind(problem.node) == ConvKind::weight_grad
             ? make_winograd_weight_grad(problem, as_cpu(backend))
             : make_winograd_correlate(problem, as_cpu(backend));
}

}  // namespace

WinogradShape WinogradShape::of(const Node& node) {
  const ConvProblem p = ConvProblem::of(node);
  const std::int64_t block = common_block(conv_values(node));
  if (conv_kind(node) == ConvKind::input_grad) {
    return {block, p.n, p.oc, p.oh, p.ow, p.ic, p.ih, p.iw, 2 - p.top, 2 - p.left};
  }
  return {block, p.n, p.ic, p.ih, p.iw, p.oc, p.oh, p.ow, p.top, p.left};
}

std::unique_ptr<Kernel> make_winograd_correlate(const KernelProblem& problem,
                                                const CpuBackend& backend) {
  return std::make_unique<WinogradCorrelate>(problem, backend);
}

KernelCandidate winograd_conv_candidate() { return {"winograd", supports, create}; }

}  // namespace ingot::cpu
