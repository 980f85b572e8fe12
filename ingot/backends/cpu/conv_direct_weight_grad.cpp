#include <algorithm>

#include "ingot/backends/cpu/conv_direct.h"

namespace ingot::cpu {
namespace {

/// Elements of one plane that a tile of sums reads: with those of the other planes of the tile they
/// should fit into the first-level cache.
constexpr std::int64_t kPlaneElements = 1536;

template <typename T>
class DirectWeightGrad final : public Kernel {
 public:
  DirectWeightGrad(const KernelProblem& problem, const CpuBackend& backend)
      : problem_(ConvProblem::of(problem.node)),
        slots_(problem),
        pool_(backend.pool()),
        code_(direct_conv<T>()),
        plan_(forward_plan(problem_)),
        weight_offsets_(*conv_values(problem.node).w),
        images_(group_batch(problem_)) {
    const ConvValues values = conv_values(problem.node);
    x_ = ImageOffsets(values.x->type.shape, values.x->layout);
    y_ = ImageOffsets(values.y->type.shape, values.y->layout);
    in_ = problem_.ic / problem_.groups;
    out_ = problem_.oc / problem_.groups;
    columns_ = in_ * problem_.kh * problem_.kw;
    choose_tasks();
    prepare_planes();
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "direct"; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return size_of(problem_.weights()) * images_.count + size_of(worker_) * pool_.size();
  }

  void run(const KernelContext& context) noexcept override {
    const T* x = context.at<T>(slots_.x);
    const T* y = context.at<T>(slots_.y);
    T* result = context.at<T>(slots_.w);
    if (problem_.n == 0) {
      std::fill_n(result, problem_.weights(), T(0));
      return;
    }
    const std::int64_t partial = size_of(problem_.weights());
    const auto partial_of = [&](std::int64_t group) {
      return reinterpret_cast<T*>(context.scratch + group * partial);
    };
    const std::int64_t tasks = images_.count * problem_.groups * parts_;
    pool_.parallel_for(tasks, [&](std::int64_t task, int worker) {
      T* planes = reinterpret_cast<T*>(context.scratch + images_.count * partial +
                                       worker * size_of(worker_));
      const std::int64_t part = task % parts_;
      const std::int64_t group = task / parts_ % problem_.groups;
      const std::int64_t images = task / (parts_ * problem_.groups);
      sum_group(x, y, planes, images, group, part, partial_of(images));
    });
    // Partial sums are [O][C / groups][taps]; the same order for any number of threads.
    const std::int64_t taps = problem_.kh * problem_.kw;
    const auto finish = [&](std::int64_t o, int) {
      for (std::int64_t i = 0; i < in_; ++i) {
        for (std::int64_t tap = 0; tap < taps; ++tap) {
          const std::int64_t at = (o * in_ + i) * taps + tap;
          T sum = partial_of(0)[at];
          for (std::int64_t g = 1; g < images_.count; ++g) sum += partial_of(g)[at];
          result[weight_offsets_.at(o, i, tap)] = sum;
        }
      }
    };
    if (problem_.weights() * images_.count < 16384) {
      for (std::int64_t o = 0; o < problem_.oc; ++o) finish(o, 0);
    } else {
      pool_.parallel_for(problem_.oc, finish);
    }
  }

 private:
  static std::int64_t size_of(std::int64_t elements) {
    return (elements * static_cast<std::int64_t>(sizeof(T)) + 63) / 64 * 64;
  }

  void choose_tasks() {
    band_rows_ = std::max<std::int64_t>(problem_.oh, 1);
    while (band_rows_ > 1 && plan_.plane_size(band_rows_) > 2 * kPlaneElements) {
      band_rows_ = (band_rows_ + 1) / 2;
    }
    bands_ = (problem_.oh + band_rows_ - 1) / band_rows_;
    // Small images are stacked: their planes follow one another.
    const std::int64_t plane = std::max<std::int64_t>(plan_.plane_size(band_rows_), 1);
    stacked_ = std::clamp<std::int64_t>(kPlaneElements / plane, 1, images_.images);
    length_ = (stacked_ * plane + kDotMultiple - 1) / kDotMultiple * kDotMultiple;
    const std::int64_t rows_block = code_.dot_block(out_);
    const std::int64_t blocks = (out_ + rows_block - 1) / rows_block;
    const std::int64_t tasks = images_.count * problem_.groups;
    parts_ = std::clamp<std::int64_t>(8 / tasks, 1, std::max<std::int64_t>(blocks / 2, 1));
    part_rows_ = (blocks + parts_ - 1) / parts_ * rows_block;
    parts_ = (out_ + part_rows_ - 1) / part_rows_;
  }

  void prepare_planes() {
    channel_size_ = plan_.phases() * length_;
    for (std::int64_t c = 0; c < in_; ++c) {
      for (const PlaneTap& tap : plan_.passes[0].taps) {
        offsets_.push_back(static_cast<std::int32_t>(c * channel_size_ + tap.phase * length_ +
                                                     tap.row * plan_.pitch + tap.column));
      }
    }
    // Taps shift beyond the end of a channel's planes by as much as the halo.
    slack_ = plan_.halo * plan_.pitch + plan_.pitch + kPlaneSlack;
    x_size_ = in_ * channel_size_ + slack_;
    worker_ = x_size_ + part_rows_ * length_;
  }

  /// Adds up one group of images for the output channels of one part.
  void sum_group(const T* x, const T* y, T* planes, std::int64_t images, std::int64_t group,
                 std::int64_t part, T* sums) noexcept {
    const std::int64_t first = part * part_rows_;
    const std::int64_t rows = std::min(part_rows_, out_ - first);
    const std::int64_t begin = images * images_.images;
    const std::int64_t end = begin + images_.images_of(images);
    // Elements between planes are read and multiplied by 0, so they must be finite.
    std::fill_n(planes, worker_, T(0));
    bool add = false;
    for (std::int64_t band = 0; band < bands_; ++band) {
      for (std::int64_t n = begin; n < end; n += stacked_) {
        const std::int64_t count = std::min(stacked_, end - n);
        for (std::int64_t s = 0; s < stacked_; ++s) {
          fill_image(x + (n + s) * x_.image, y + (n + s) * y_.image, planes, s, s < count, group,
                     band, first, rows);
        }
        code_.dot({.x = planes,
                   .columns = offsets_.data(),
                   .num_columns = columns_,
                   .g = planes + x_size_,
                   .rows = rows,
                   .length = length_,
                   .sums = sums + (group * out_ + first) * columns_,
                   .add = add});
        add = true;
      }
    }
  }

  /// Copies image `s` of the stack; one that is not there has a gradient of 0.
  void fill_image(const T* x, const T* y, T* planes, std::int64_t s, bool there, std::int64_t group,
                  std::int64_t band, std::int64_t first, std::int64_t rows) noexcept {
    const std::int64_t u0 = band * band_rows_;
    const std::int64_t at = s * plan_.plane_size(band_rows_);
    PlaneGeometry gradient{.top = 0,
                           .left = 0,
                           .source_rows = std::min(u0 + band_rows_, problem_.oh),
                           .source_columns = problem_.ow,
                           .halo = plan_.halo,
                           .pitch = plan_.pitch};
    if (!there) gradient.source_rows = 0;
    for (std::int64_t c = 0; there && c < in_; ++c) {
      fill_planes(plan_, x + x_.channels[static_cast<std::size_t>(group * in_ + c)], x_, u0,
                  band_rows_, length_, planes + c * channel_size_ + at);
    }
    for (std::int64_t o = 0; o < rows; ++o) {
      const auto channel = static_cast<std::size_t>(group * out_ + first + o);
      fill_planes(gradient, y + y_.channels[channel], y_, u0, band_rows_, length_,
                  planes + x_size_ + o * length_ + at);
    }
  }

  ConvProblem problem_;
  ConvSlots slots_;
  ThreadPool& pool_;
  DirectConv<T> code_;
  PlanePlan plan_;
  WeightOffsets weight_offsets_;
  BatchSlices images_;
  ImageOffsets x_, y_;
  std::int64_t in_ = 0, out_ = 0, columns_ = 0;
  std::int64_t band_rows_ = 0, bands_ = 0, stacked_ = 1;
  std::int64_t parts_ = 1, part_rows_ = 0;
  std::int64_t length_ = 0;  ///< elements from one phase's planes to the next
  std::int64_t channel_size_ = 0, slack_ = 0, x_size_ = 0, worker_ = 0;
  std::vector<std::int32_t> offsets_;
};

}  // namespace

std::unique_ptr<Kernel> make_direct_weight_grad(const KernelProblem& problem,
                                                const CpuBackend& backend) {
  if (problem.node.output_type().dtype == DType::f64) {
    return std::make_unique<DirectWeightGrad<double>>(problem, backend);
  }
  return std::make_unique<DirectWeightGrad<float>>(problem, backend);
}

}  // namespace ingot::cpu
