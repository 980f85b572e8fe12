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
        images_(backend.is_serial() ? slice_batch(problem_.n, 1) : group_batch(problem_)) {
    const ConvValues values = conv_values(problem.node);
    x_ = ImageOffsets(values.x->type.shape, values.x->layout);
    y_ = ImageOffsets(values.y->type.shape, values.y->layout);
    in_ = problem_.ic / problem_.groups;
    out_ = problem_.oc / problem_.groups;
    columns_ = in_ * problem_.kh * problem_.kw;
    choose_tasks(backend.is_serial());
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
          result[weight_offsets_.at(o, i, tap)] = weight_offsets_.drops(tap) ? T(0) : sum;
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

  void choose_tasks(bool is_serial) {
    band_rows_ = std::max<std::int64_t>(problem_.oh, 1);
    while (band_rows_ > 1 && plan_.plane_size(band_rows_) > 2 * kPlaneElements) {
      band_rows_ = (band_rows_ + 1) / 2;
    }
    bands_ = (problem_.oh + band_rows_ - 1) / band_rows_;
    // Small images are stacked: their planes follow one another.
    const std::int64_t plane = std::max<std::int64_t>(plan_.plane_size(band_rows_), 1);
    stacked_ = std::clamp<std::int64_t>(kPlaneElements / plane, 1, images_.images);
    length_ = stacked_ * plane;
    const std::int64_t rows_block = std::min<std::int64_t>(out_, 4);
    const std::int64_t blocks = (out_ + rows_block - 1) / rows_block;
    const std::int64_t tasks = images_.count * problem_.groups;
    const std::int64_t wanted = is_serial ? 1 : 8;
    parts_ = std::clamp<std::int64_t>(wanted / tasks, 1, std::max<std::int64_t>(blocks / 2, 1));
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
    const std::int64_t slack = plan_.halo * plan_.pitch + plan_.pitch + kPlaneSlack;
    x_size_ = in_ * channel_size_ + slack;

    // Rows of the gradient are read where they lie, unless they are so short that vectors fill
    // better with planes that run on from row to row, zero between the rows.
    const std::int64_t lanes = code_.lanes();
    const std::int64_t by_row = problem_.oh * divide_up(problem_.ow, lanes);
    const std::int64_t as_one = divide_up(plan_.plane_size(problem_.oh), lanes);
    copied_ = y_.column != 1 || 5 * by_row > 6 * as_one;
    worker_ = x_size_ + (copied_ ? part_rows_ * length_ : 0);
  }

  /// Adds up one group of images for the output channels of one part.
  void sum_group(const T* x, const T* y, T* planes, std::int64_t images, std::int64_t group,
                 std::int64_t part, T* sums) noexcept {
    const std::int64_t begin = images * images_.images;
    const std::int64_t end = begin + images_.images_of(images);
    // Elements between copied rows are read and multiplied by 0, so they must be finite.
    if (copied_) std::fill_n(planes, worker_, T(0));
    bool add = false;
    for (std::int64_t band = 0; band < bands_; ++band) {
      for (std::int64_t n = begin; n < end; n += stacked_) {
        const std::int64_t count = std::min(stacked_, end - n);
        sum_stack(x + n * x_.image, y + n * y_.image, planes, count, group, band * band_rows_, part,
                  sums, add);
        add = true;
      }
    }
  }

  /// Output rows from u0 on of `count` images.
  void sum_stack(const T* x, const T* y, T* planes, std::int64_t count, std::int64_t group,
                 std::int64_t u0, std::int64_t part, T* sums, bool add) noexcept {
    const std::int64_t plane = plan_.plane_size(band_rows_);
    const std::int64_t rows = std::min(band_rows_, problem_.oh - u0);
    const std::int64_t first = group * out_ + part * part_rows_;
    const std::int64_t channels = std::min(part_rows_, out_ - part * part_rows_);
    for (std::int64_t s = 0; s < count; ++s) {
      for (std::int64_t c = 0; c < in_; ++c) {
        code_.fill(plan_, {.source = x + s * x_.image + channel_of(x_, group * in_ + c),
                           .source_row = x_.rows.data(),
                           .source_column = x_.column,
                           .u0 = u0,
                           .rows = rows,
                           .phase_size = length_,
                           .planes = planes + c * channel_size_ + s * plane});
      }
    }
    DotArgs<T> args{
        .x = planes,
        .columns = offsets_.data(),
        .num_columns = columns_,
        .x_image = plane,
        .x_row = plan_.pitch,
        .g = y + channel_of(y_, first) + y_.rows[static_cast<std::size_t>(u0)],
        .channels = channels,
        .g_channel = channels > 1 ? channel_of(y_, first + 1) - channel_of(y_, first) : 0,
        .g_image = y_.image,
        .g_row = problem_.oh > 1 ? y_.rows[1] : 0,
        .images = count,
        .rows = rows,
        .length = problem_.ow,
        .sums = sums + first * columns_,
        .add = add};
    if (copied_) {
      copy_gradient(y, planes + x_size_, count, u0, rows, first, channels);
      args.g = planes + x_size_;
      args.g_channel = length_;
      args.images = args.rows = 1;
      args.length = length_;
    }
    code_.dot(args);
  }

  static std::int64_t channel_of(const ImageOffsets& offsets, std::int64_t channel) {
    return offsets.channels[static_cast<std::size_t>(channel)];
  }

  /// Into planes like those of x; images that are not there are 0.
  void copy_gradient(const T* y, T* planes, std::int64_t count, std::int64_t u0, std::int64_t rows,
                     std::int64_t first, std::int64_t channels) noexcept {
    const std::int64_t plane = plan_.plane_size(band_rows_);
    PlaneGeometry gradient{.source_columns = problem_.ow, .halo = plan_.halo, .pitch = plan_.pitch};
    for (std::int64_t s = 0; s < stacked_; ++s) {
      gradient.source_rows = s < count ? u0 + rows : 0;
      for (std::int64_t o = 0; o < channels; ++o) {
        code_.fill(gradient, {.source = y + s * y_.image + channel_of(y_, first + o),
                              .source_row = y_.rows.data(),
                              .source_column = y_.column,
                              .u0 = u0,
                              .rows = band_rows_,
                              .phase_size = length_,
                              .planes = planes + o * length_ + s * plane});
      }
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
  std::int64_t channel_size_ = 0, x_size_ = 0, worker_ = 0;
  bool copied_ = false;  ///< the gradient, into planes
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
