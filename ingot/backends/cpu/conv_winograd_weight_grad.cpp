#include <algorithm>

#include "ingot/backends/cpu/conv_direct.h"
#include "ingot/backends/cpu/conv_weights.h"
#include "ingot/backends/cpu/conv_winograd.h"

namespace ingot::cpu {
namespace {

/// The largest divisor of `channels` of at most `most` in whole blocks.
std::int64_t part_of(std::int64_t channels, std::int64_t block, std::int64_t most) {
  std::int64_t part = std::min(channels, most) / block * block;
  while (channels % part != 0) part -= block;
  return part;
}

class WinogradWeightGrad final : public Kernel {
 public:
  WinogradWeightGrad(const KernelProblem& problem, const CpuBackend& backend)
      : shape_(WinogradShape::of(problem.node)),
        slots_(problem),
        grid_(shape_.out_rows, shape_.out_columns),
        code_(winograd_code()),
        pool_(backend.pool()) {
    // The sums of a part must stay in the second-level cache.
    in_part_ = part_of(shape_.in, shape_.block, 128);
    out_part_ = part_of(shape_.out, shape_.block, 128);
    parts_ = shape_.in / in_part_ * (shape_.out / out_part_);
    const std::int64_t groups = std::clamp<std::int64_t>(16 / parts_, 1, shape_.n);
    images_ =
        slice_batch(shape_.n, std::min(groups, group_batch(ConvProblem::of(problem.node)).count));
    groups_ = images_.count;
    if (!backend.is_serial()) cut_images();
    const std::int64_t bytes = 4 * kWinogradPlanes * (in_part_ + out_part_);
    const std::int64_t most = cuts_images_ ? first_of(1) : images_.images * grid_.image();
    tiles_ = std::clamp<std::int64_t>(backend.caches().l2 / 2 / bytes, 16,
                                      std::max<std::int64_t>(most, 16));
    // A step that is no power of two: the planes must not fall onto the same lines of the cache.
    input_plane_ = tiles_ * in_part_ + 16;
    gradient_plane_ = tiles_ * out_part_ + 16;
    sum_plane_ = in_part_ * out_part_ + 16;
    worker_ = winograd_aligned(kWinogradPlanes * (input_plane_ + gradient_plane_ + sum_plane_));
    partial_ = winograd_aligned(weights());
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "winograd"; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return 4 * (worker_ * pool_.size() + partial_ * (groups_ - 1));
  }

  void run(const KernelContext& context) noexcept override {
    float* scratch = reinterpret_cast<float*>(context.scratch);
    float* partials = scratch + worker_ * pool_.size();
    float* result = context.at<float>(slots_.w);
    pool_.parallel_for(groups_ * parts_, [&](std::int64_t task, int worker) {
      const std::int64_t group = task / parts_;
      float* weights = group == 0 ? result : partials + (group - 1) * partial_;
      sum_group(context, scratch + worker * worker_, group, task % parts_, weights);
    });
    add_partials(result, partials, partial_, groups_ - 1, weights(), pool_);
  }

 private:
  [[nodiscard]] std::int64_t weights() const noexcept { return 9 * shape_.in * shape_.out; }

  /// Parts of images where whole ones are too few for several threads.
  void cut_images() {
    // Fewer tiles would not outweigh the transformation of their sums.
    constexpr std::int64_t kLeastTiles = 64;
    constexpr std::int64_t kTasks = 4;
    const std::int64_t most = std::min(kTasks / parts_, shape_.n * grid_.image() / kLeastTiles);
    cuts_images_ = most > groups_;
    if (cuts_images_) groups_ = most;
  }
  /// The first tile of a group.
  [[nodiscard]] std::int64_t first_of(std::int64_t group) const noexcept {
    const std::int64_t image = grid_.image();
    return cuts_images_ ? shape_.n * image * group / groups_ : group * images_.images * image;
  }

  void sum_group(const KernelContext& context, float* scratch, std::int64_t group,
                 std::int64_t part, float* weights) const noexcept {
    const std::int64_t in_parts = shape_.in / in_part_;
    const std::int64_t first_in = part % in_parts * in_part_;
    const std::int64_t first_out = part / in_parts * out_part_;
    float* tiles = scratch;
    float* gradients = tiles + kWinogradPlanes * input_plane_;
    float* sums = gradients + kWinogradPlanes * gradient_plane_;
    const std::int64_t begin = first_of(group);
    const std::int64_t end = std::min(first_of(group + 1), shape_.n * grid_.image());
    for (std::int64_t tile = begin; tile < end; tile += tiles_) {
      const std::int64_t stop = std::min(tile + tiles_, end);
      transform(context, first_in, first_out, tile, stop, tiles, gradients);
      for (std::int64_t plane = 0; plane < kWinogradPlanes; ++plane) {
        code_.transposed_product({.a = tiles + plane * input_plane_,
                                  .b = gradients + plane * gradient_plane_,
                                  .c = sums + plane * sum_plane_,
                                  .m = in_part_,
                                  .n = out_part_,
                                  .k = stop - tile,
                                  .lda = in_part_,
                                  .ldb = out_part_,
                                  .ldc = out_part_,
                                  .add = tile > begin});
      }
    }
    const std::int64_t block = shape_.block;
    for (std::int64_t o = 0; o < out_part_; o += block) {
      for (std::int64_t i = 0; i < in_part_; i += block) {
        const std::int64_t at =
            (first_out + o) / block * (shape_.in / block) + (first_in + i) / block;
        code_.weight_sums({.block = block, .row = out_part_, .plane = sum_plane_},
                          sums + i * out_part_ + o, weights + at * 9 * block * block);
      }
    }
  }

  void transform(const KernelContext& context, std::int64_t first_in, std::int64_t first_out,
                 std::int64_t begin, std::int64_t end, float* tiles,
                 float* gradients) const noexcept {
    const float* x = context.at<float>(slots_.x);
    const float* y = context.at<float>(slots_.y);
    const std::int64_t x_pixels = shape_.in_rows * shape_.in_columns;
    const std::int64_t y_pixels = shape_.out_rows * shape_.out_columns;
    grid_.for_each_run(begin, end, [&](auto image, auto row, auto column, auto count, auto index) {
      const WinogradTiles in = shape_.inputs(row, column, count, in_part_, input_plane_);
      for (std::int64_t c = 0; c < in_part_; c += shape_.block) {
        code_.input(in, x + (image * shape_.in + first_in + c) * x_pixels,
                    tiles + index * in_part_ + c);
      }
      const WinogradTiles out = shape_.outputs(row, column, count, out_part_, gradient_plane_);
      for (std::int64_t c = 0; c < out_part_; c += shape_.block) {
        code_.gradient(out, y + (image * shape_.out + first_out + c) * y_pixels,
                       gradients + index * out_part_ + c);
      }
    });
  }

  WinogradShape shape_;
  ConvSlots slots_;
  WinogradGrid grid_;
  WinogradCode code_;
  ThreadPool& pool_;
  BatchSlices images_;  ///< of each group, unless groups cut images
  std::int64_t groups_ = 1;
  bool cuts_images_ = false;
  std::int64_t in_part_ = 0, out_part_ = 0, parts_ = 1;
  std::int64_t tiles_ = 0;  ///< at a time
  std::int64_t input_plane_ = 0, gradient_plane_ = 0, sum_plane_ = 0;
  std::int64_t worker_ = 0;   ///< floats of a worker's scratch
  std::int64_t partial_ = 0;  ///< floats from one partial sum to the next
};

}  // namespace

std::unique_ptr<Kernel> make_winograd_weight_grad(const KernelProblem& problem,
                                                  const CpuBackend& backend) {
  return std::make_unique<WinogradWeightGrad>(problem, backend);
}

}  // namespace ingot::cpu
