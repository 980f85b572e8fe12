#include "ingot/backends/cpu/conv_direct.h"

#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/sliced_kernel.h"
#include "ingot/ir/op_def.h"

namespace ingot::cpu {
namespace {

/// Floats of planes that a task works on: they should stay in the second-level cache.
constexpr std::int64_t kPlanesBytes = 384 << 10;

Support supports(const Node& node, const Backend&) {
  const ConvValues values = conv_values(node);
  for (const Node::Output* value : {values.x, values.w, values.y}) {
    const TensorType& type = value->type;
    if (type.dtype != DType::f32 && type.dtype != DType::f64) {
      return Support::no(fmt::format("takes f32 and f64, got {}", dtype_name(type.dtype)));
    }
    if (Support unpadded = require_unpadded(type.shape, value->layout); !unpadded) return unpadded;
  }
  return Support::yes();
}

std::unique_ptr<Kernel> create(const KernelProblem& problem, const Backend& backend) {
  return conv_kind(problem.node) == ConvKind::weight_grad
             ? make_direct_weight_grad(problem, as_cpu(backend))
             : make_direct_correlate(problem, as_cpu(backend));
}

/// A pass of the plan with everything that does not change from run to run.
struct Pass {
  const PlanePass* plane = nullptr;
  std::vector<std::int32_t> taps;
  std::vector<std::int64_t> out_row;
  std::int64_t column_step = 1;
  std::int64_t weights = 0;  ///< where the packed weights begin
};

template <typename T>
class DirectCorrelate final : public SlicedKernel {
 public:
  DirectCorrelate(const KernelProblem& problem, const CpuBackend& backend)
      : SlicedKernel(backend.pool()),
        problem_(ConvProblem::of(problem.node)),
        forward_(conv_kind(problem.node) == ConvKind::forward),
        slots_(problem),
        code_(direct_conv<T>()),
        plan_(forward_ ? forward_plan(problem_) : input_grad_plan(problem_)),
        weight_offsets_(*conv_values(problem.node).w) {
    const ConvValues values = conv_values(problem.node);
    const Node::Output& source = forward_ ? *values.x : *values.y;
    const Node::Output& result = forward_ ? *values.y : *values.x;
    source_ = ImageOffsets(source.type.shape, source.layout);
    result_ = ImageOffsets(result.type.shape, result.layout);
    source_image_ = forward_ ? problem_.x_image() : problem_.y_image();
    result_image_ = forward_ ? problem_.y_image() : problem_.x_image();
    in_ = source.type.shape[1] / problem_.groups;
    out_ = result.type.shape[1] / problem_.groups;
    block_ = code_.correlate_block(out_);
    blocks_ = (out_ + block_ - 1) / block_;
    choose_tasks(backend.is_serial());
    prepare_passes();
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "direct"; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return size_of(packed_) + size_of(planes_) * pool_.size();
  }

  void prepare(const KernelContext& context) noexcept override {
    pack_weights(context.at<T>(slots_.w), reinterpret_cast<T*>(context.scratch));
  }
  /// An image, or a part of one where there are few.
  [[nodiscard]] std::int64_t slices() const noexcept override {
    return problem_.n * (by_image_ ? 1 : image_tasks());
  }
  void run_slice(const KernelContext& context, std::int64_t slice, int worker) noexcept override {
    if (!by_image_) return run_task(context, slice, worker);
    for (std::int64_t i = 0; i < image_tasks(); ++i) {
      run_task(context, slice * image_tasks() + i, worker);
    }
  }
  bool absorb(int bias, bool relu) override {
    bias_ = bias;
    relu_ = relu;
    return true;
  }
  [[nodiscard]] bool has_ranges() const noexcept override {
    const bool images_follow = problem_.n == 1 || result_.image == result_image_;
    return images_follow && (by_image_ || image_tasks() == 1 || parts_are_ranges());
  }
  [[nodiscard]] SliceRange range(std::int64_t slice) const noexcept override {
    if (by_image_ || image_tasks() == 1) {
      return {slice * result_image_, (slice + 1) * result_image_};
    }
    const std::int64_t image = slice / image_tasks() * result_image_;
    const std::int64_t part = slice % image_tasks();
    return {image + first_channel(part) * plane(), image + first_channel(part + 1) * plane()};
  }

 private:
  static std::int64_t size_of(std::int64_t elements) {
    return (elements * static_cast<std::int64_t>(sizeof(T)) + 63) / 64 * 64;
  }

  [[nodiscard]] std::int64_t image_tasks() const noexcept { return bands_ * group_tasks_ * parts_; }
  /// Elements of a channel's image.
  [[nodiscard]] std::int64_t plane() const noexcept {
    return result_image_ / (out_ * problem_.groups);
  }
  /// Channel that a part of an image begins with.
  [[nodiscard]] std::int64_t first_channel(std::int64_t part) const noexcept {
    return std::min(part * blocks_ / parts_ * block_, out_);
  }
  /// Whether the parts of an image are its channels, some after the other in memory.
  [[nodiscard]] bool parts_are_ranges() const noexcept {
    if (bands_ > 1 || problem_.groups > 1) return false;
    for (std::int64_t part = 0; part < parts_; ++part) {
      const std::int64_t channel = first_channel(part);
      if (result_.channels[static_cast<std::size_t>(channel)] != channel * plane()) return false;
    }
    return true;
  }

  void run_task(const KernelContext& context, std::int64_t task, int worker) noexcept {
    const T* source = context.at<T>(forward_ ? slots_.x : slots_.y);
    T* result = context.at<T>(forward_ ? slots_.y : slots_.x);
    const T* packed = reinterpret_cast<const T*>(context.scratch);
    const T* bias = bias_ >= 0 ? context.at<T>(bias_) : nullptr;
    T* planes =
        reinterpret_cast<T*>(context.scratch + size_of(packed_) + worker * size_of(planes_));
    const std::int64_t part = task % parts_;
    const std::int64_t groups = task / parts_ % group_tasks_;
    const std::int64_t band = task / (parts_ * group_tasks_) % bands_;
    const std::int64_t image = task / image_tasks();
    const std::int64_t end = std::min((groups + 1) * groups_each_, problem_.groups);
    for (std::int64_t group = groups * groups_each_; group < end; ++group) {
      run_band(source + image * source_.image, packed, planes, result + image * result_.image, bias,
               group, band, part);
    }
  }

  void choose_tasks(bool is_serial) {
    const auto bytes = [&](std::int64_t rows) {
      return in_ * plan_.phases() * plan_.plane_size(rows) * static_cast<std::int64_t>(sizeof(T));
    };
    band_rows_ = std::max<std::int64_t>(plan_.max_rows, 1);
    while (band_rows_ > 1 && bytes(band_rows_) > kPlanesBytes) band_rows_ = (band_rows_ + 1) / 2;
    bands_ = (plan_.max_rows + band_rows_ - 1) / band_rows_;
    planes_ = in_ * plan_.phases() * plan_.plane_size(band_rows_) + kPlaneSlack;

    const double flops = problem_.flops_per_image() / static_cast<double>(problem_.groups);
    const double each = std::max(1e6 / std::max(flops, 1.0), 1.0);
    const std::int64_t quarter = (problem_.groups + 3) / 4;
    groups_each_ = static_cast<std::int64_t>(std::min(each, static_cast<double>(quarter)));
    group_tasks_ = (problem_.groups + groups_each_ - 1) / groups_each_;
    // A small batch is split over output channels, too, each part copying the planes again.
    const std::int64_t tasks = std::max<std::int64_t>(problem_.n * bands_ * group_tasks_, 1);
    const std::int64_t wanted = is_serial ? 1 : 8;
    parts_ = std::clamp<std::int64_t>(wanted / tasks, 1, std::max<std::int64_t>(blocks_ / 2, 1));
    by_image_ = problem_.n >= 8;
  }

  void prepare_passes() {
    for (const PlanePass& plane : plan_.passes) {
      Pass& pass = passes_.emplace_back();
      pass.plane = &plane;
      for (const PlaneTap& tap : plane.taps) {
        pass.taps.push_back(static_cast<std::int32_t>(tap.phase * plan_.plane_size(band_rows_) +
                                                      tap.row * plan_.pitch + tap.column));
      }
      for (std::int64_t u = 0; u < plane.rows; ++u) {
        const std::int64_t row = plane.row_base + u * plane.row_step;
        pass.out_row.push_back(result_.rows[static_cast<std::size_t>(row)] +
                               plane.column_base * result_.column);
      }
      pass.column_step = plane.column_step * result_.column;
      pass.weights = packed_;
      packed_ += problem_.groups * group_weights(plane);
    }
  }
  [[nodiscard]] std::int64_t group_weights(const PlanePass& plane) const noexcept {
    return blocks_ * block_weights(plane);
  }
  [[nodiscard]] std::int64_t block_weights(const PlanePass& plane) const noexcept {
    return in_ * static_cast<std::int64_t>(plane.taps.size()) * block_;
  }

  void pack_weights(const T* weights, T* packed) noexcept {
    const std::int64_t blocks = problem_.groups * blocks_;
    const auto pack = [&](std::int64_t task, int) {
      for (const Pass& pass : passes_) {
        T* to = packed + pass.weights + task * block_weights(*pass.plane);
        const std::int64_t group = task / blocks_;
        const std::int64_t first = task % blocks_ * block_;
        for (std::int64_t in = 0; in < in_; ++in) {
          for (const PlaneTap& tap : pass.plane->taps) {
            for (std::int64_t o = first; o < first + block_; ++o) {
              const bool there = o < out_ && !weight_offsets_.drops(tap.kernel_index);
              *to++ = there ? weights[weight_at(group, o, in, tap.kernel_index)] : T(0);
            }
          }
        }
      }
    };
    // A dispatch costs more than packing a few weights.
    if (packed_ < 8192) {
      for (std::int64_t task = 0; task < blocks; ++task) pack(task, 0);
    } else {
      pool_.parallel_for(blocks, pack);
    }
  }
  [[nodiscard]] std::int64_t weight_at(std::int64_t group, std::int64_t out, std::int64_t in,
                                       std::int64_t tap) const noexcept {
    return forward_ ? weight_offsets_.at(group * out_ + out, in, tap)
                    : weight_offsets_.at(group * in_ + in, out, tap);
  }

  void run_band(const T* source, const T* packed, T* planes, T* result, const T* bias,
                std::int64_t group, std::int64_t band, std::int64_t part) noexcept {
    // A worker's next image mostly follows this one, in the same slice or the next; behind the last
    // image there is nothing to fetch, which is no error.
    const bool whole = bands_ == 1 && problem_.groups == 1;
    const T* const next = whole ? source + source_.image : nullptr;
    const std::int64_t phase_size = plan_.plane_size(band_rows_);
    const std::int64_t channel_size = plan_.phases() * phase_size;
    const std::int64_t u0 = band * band_rows_;
    const std::int64_t rows = std::min(band_rows_, plan_.max_rows - u0);
    for (std::int64_t c = 0; c < in_; ++c) {
      code_.fill(plan_,
                 {.source = source + source_.channels[static_cast<std::size_t>(group * in_ + c)],
                  .source_row = source_.rows.data(),
                  .source_column = source_.column,
                  .u0 = u0,
                  .rows = rows,
                  .phase_size = phase_size,
                  .planes = planes + c * channel_size});
    }
    const std::int64_t first_block = part * blocks_ / parts_;
    const std::int64_t first = first_channel(part);
    const std::int64_t end = first_channel(part + 1);
    for (const Pass& pass : passes_) {
      const PlanePass& plane = *pass.plane;
      if (u0 >= plane.rows) continue;
      code_.correlate({.planes = planes,
                       .channel_size = channel_size,
                       .channels = in_,
                       .taps = pass.taps.data(),
                       .num_taps = static_cast<int>(pass.taps.size()),
                       .pitch = plan_.pitch,
                       .rows = std::min(rows, plane.rows - u0),
                       .columns = plane.columns,
                       .weights = packed + pass.weights + group * group_weights(plane) +
                                  first_block * block_weights(plane),
                       .block = block_,
                       .out_channels = end - first,
                       .bias = bias ? bias + group * out_ + first : nullptr,
                       .relu = relu_,
                       .out = result,
                       .out_channel = result_.channels.data() + group * out_ + first,
                       .out_row = pass.out_row.data() + u0,
                       .column_step = pass.column_step,
                       .next = reinterpret_cast<const std::byte*>(next),
                       .next_bytes = source_image_ * static_cast<std::int64_t>(sizeof(T))});
    }
  }

  ConvProblem problem_;
  bool forward_;
  ConvSlots slots_;
  DirectConv<T> code_;
  PlanePlan plan_;
  WeightOffsets weight_offsets_;
  ImageOffsets source_, result_;
  std::int64_t in_ = 0, out_ = 0;  ///< channels of a group, read and written
  std::int64_t block_ = 0, blocks_ = 0;
  std::int64_t band_rows_ = 0, bands_ = 0;
  std::int64_t groups_each_ = 1, group_tasks_ = 1, parts_ = 1;
  bool by_image_ = false;
  int bias_ = -1;  ///< slot of a value for each channel
  bool relu_ = false;
  std::int64_t source_image_ = 0, result_image_ = 0;  ///< elements
  std::int64_t planes_ = 0;                           ///< elements of one worker's planes
  std::int64_t packed_ = 0;                           ///< elements of the packed weights
  std::vector<Pass> passes_;
};

}  // namespace

ConvSlots::ConvSlots(const KernelProblem& problem) {
  switch (conv_kind(problem.node)) {
    case ConvKind::forward:
      x = problem.inputs[0], w = problem.inputs[1], y = problem.outputs[0];
      break;
    case ConvKind::input_grad:
      y = problem.inputs[0], w = problem.inputs[1], x = problem.outputs[0];
      break;
    case ConvKind::weight_grad:
      x = problem.inputs[0], y = problem.inputs[1], w = problem.outputs[0];
      break;
  }
}

WeightOffsets::WeightOffsets(const Node::Output& weights)
    : out(axis_offsets(weights.type.shape, weights.layout, 0)),
      in(axis_offsets(weights.type.shape, weights.layout, 1)) {
  auto rows = axis_offsets(weights.type.shape, weights.layout, 2);
  auto columns = axis_offsets(weights.type.shape, weights.layout, 3);
  const bool swaps = planted_bug() == PlantedBug::transposed_weight;
  if (swaps && rows.size() == columns.size()) std::swap(rows, columns);
  for (const std::int64_t row : rows) {
    for (const std::int64_t column : columns) taps.push_back(row + column);
  }
}

std::unique_ptr<Kernel> make_direct_correlate(const KernelProblem& problem,
                                              const CpuBackend& backend) {
  if (problem.node.output_type().dtype == DType::f64) {
    return std::make_unique<DirectCorrelate<double>>(problem, backend);
  }
  return std::make_unique<DirectCorrelate<float>>(problem, backend);
}

KernelCandidate direct_conv_candidate() { return {"direct", supports, create}; }

}  // namespace ingot::cpu
