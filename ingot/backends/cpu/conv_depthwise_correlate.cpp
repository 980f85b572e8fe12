#include <algorithm>
#include <array>

#include "ingot/backends/cpu/conv_depthwise.h"
#include "ingot/backends/cpu/conv_depthwise_correlate_simd.h"
#include "ingot/backends/cpu/conv_direct.h"
#include "ingot/backends/cpu/sliced_kernel.h"

namespace ingot::cpu {
namespace {

/// Of a slice's result: it and the rows that it is made of stay in the second-level cache.
constexpr std::int64_t kSliceFloats = 16 << 10;
constexpr std::int64_t kMostChannels = 16;  ///< of a block

/// A slice is some rows of a block of channels of an image, or several whole blocks. In plain
/// layouts a block is gathered into memory of the worker's own, which the inner loops work on, and
/// its result is scattered.
class DepthwiseCorrelate final : public SlicedKernel {
 public:
  DepthwiseCorrelate(const KernelProblem& problem, const CpuBackend& backend)
      : SlicedKernel(backend.pool()),
        problem_(ConvProblem::of(problem.node)),
        forward_(conv_kind(problem.node) == ConvKind::forward),
        slots_(problem),
        plan_(DepthwisePlan::of(problem_, forward_)),
        code_(depthwise_code()),
        channels_(forward_ ? problem_.oc : problem_.ic),
        multiplier_(channels_ / problem_.groups),
        block_(depthwise_block(conv_values(problem.node))) {
    plain_ = block_ == 0;
    if (plain_) block_ = code_.lanes() >= 16 && channels_ > 8 ? 16 : 8;
    blocks_ = (channels_ + block_ - 1) / block_;
    const std::int64_t all = problem_.n * blocks_;
    const std::int64_t plane = plan_.result_rows * plan_.result_columns * block_;
    band_rows_ = plan_.result_rows;
    if (plane > kSliceFloats) {
      const std::int64_t bands = (plane + kSliceFloats - 1) / kSliceFloats;
      band_rows_ = (plan_.result_rows + bands - 1) / bands;
      bands_ = (plan_.result_rows + band_rows_ - 1) / band_rows_;
    } else if (blocks_ * block_ == channels_) {
      blocks_each_ =
          std::clamp<std::int64_t>(kSliceFloats / plane, 1, std::max<std::int64_t>(all / 8, 1));
    }
    slices_ = (all + blocks_each_ - 1) / blocks_each_ * bands_;
    if (plain_) reserve();
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "depthwise"; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return 4 * worker_ * pool_.size();
  }
  [[nodiscard]] std::int64_t slices() const noexcept override { return slices_; }

  void run_slice(const KernelContext& context, std::int64_t slice, int worker) noexcept override {
    const std::int64_t first = slice / bands_ * blocks_each_;
    const std::int64_t end = std::min(first + blocks_each_, problem_.n * blocks_);
    const std::int64_t row = slice % bands_ * band_rows_;
    for (std::int64_t block = first; block < end; ++block) {
      const Part part{.image = block / blocks_,
                      .channel = block % blocks_ * block_,
                      .begin = row,
                      .end = std::min(row + band_rows_, plan_.result_rows)};
      if (plain_) {
        run_plain(context, part, reinterpret_cast<float*>(context.scratch) + worker * worker_);
      } else {
        run_blocked(context, part);
      }
    }
  }

  bool absorb(int bias, bool relu) override {
    bias_ = bias;
    relu_ = relu;
    return true;
  }
  [[nodiscard]] bool has_ranges() const noexcept override { return !plain_ || bands_ == 1; }
  [[nodiscard]] SliceRange range(std::int64_t slice) const noexcept override {
    const std::int64_t pixels = plan_.result_rows * plan_.result_columns;
    const std::int64_t first = slice / bands_ * blocks_each_;
    const auto begin_of = [&](std::int64_t block) {
      const std::int64_t channel = std::min(block % blocks_ * block_, channels_);
      return (block / blocks_ * channels_ + channel) * pixels;
    };
    if (bands_ == 1) {
      return {begin_of(first), begin_of(std::min(first + blocks_each_, problem_.n * blocks_))};
    }
    const std::int64_t row = slice % bands_ * band_rows_;
    const std::int64_t row_size = plan_.result_columns * block_;
    return {begin_of(first) + row * row_size,
            begin_of(first) + std::min(row + band_rows_, plan_.result_rows) * row_size};
  }

 private:
  /// Rows [begin, end) of a block of channels.
  struct Part {
    std::int64_t image, channel;
    std::int64_t begin, end;
  };
  /// Rows of the source.
  struct Rows {
    std::int64_t begin = 0, end = 0;
  };

  [[nodiscard]] std::int64_t taps() const noexcept { return problem_.kh * problem_.kw; }
  [[nodiscard]] std::int64_t source_channels() const noexcept {
    return forward_ ? problem_.ic : problem_.oc;
  }
  [[nodiscard]] std::int64_t source_pixels() const noexcept {
    return plan_.source_rows * plan_.source_columns;
  }
  [[nodiscard]] std::int64_t result_pixels() const noexcept {
    return plan_.result_rows * plan_.result_columns;
  }

  [[nodiscard]] Rows rows_of(std::int64_t begin, std::int64_t end) const noexcept {
    const auto first = plan_.rows.begin() + plan_.first_row[static_cast<std::size_t>(begin)];
    const auto last = plan_.rows.begin() + plan_.first_row[static_cast<std::size_t>(end)];
    if (first == last) return {};
    const auto [low, high] = std::minmax_element(
        first, last, [](const auto& a, const auto& b) { return a.source < b.source; });
    return {low->source, high->source + 1};
  }

  /// A worker's memory: weights, rows of the source, of the result, and of one channel.
  void reserve() {
    const auto aligned = [](std::int64_t floats) { return (floats + 15) / 16 * 16; };
    std::int64_t rows = 0;
    for (std::int64_t row = 0; row < plan_.result_rows; row += band_rows_) {
      const Rows read = rows_of(row, std::min(row + band_rows_, plan_.result_rows));
      rows = std::max(rows, read.end - read.begin);
    }
    source_ = aligned(taps() * block_);
    result_ = source_ + aligned(rows * plan_.source_columns * block_);
    aside_ = result_ + aligned(band_rows_ * plan_.result_columns * block_);
    worker_ = aside_ + aligned(channels_ % 4 == 0 ? 0 : band_rows_ * plan_.result_columns);
  }

  void run_blocked(const KernelContext& context, const Part& part) const noexcept {
    const float* source = context.at<float>(forward_ ? slots_.x : slots_.y);
    float* result = context.at<float>(forward_ ? slots_.y : slots_.x);
    const std::int64_t plane = part.image * channels_ + part.channel;
    code_.rows(
        {.plan = &plan_,
         .block = block_,
         .begin = part.begin,
         .end = part.end,
         .source = source + plane * source_pixels(),
         .weights = context.at<float>(slots_.w) + part.channel * taps(),
         .bias = bias_ >= 0 ? context.at<float>(bias_) + part.channel : nullptr,
         .relu = relu_,
         .result = result + plane * result_pixels() + part.begin * plan_.result_columns * block_});
  }

  void run_plain(const KernelContext& context, const Part& part, float* scratch) const noexcept {
    const float* source = context.at<float>(forward_ ? slots_.x : slots_.y);
    float* result = context.at<float>(forward_ ? slots_.y : slots_.x);
    const Rows read = rows_of(part.begin, part.end);
    // Beyond the last channel, up to a multiple of four: that one again, its result put aside.
    std::array<const float*, kMostChannels> weights{};
    std::array<const float*, kMostChannels> sources{};
    std::array<float*, kMostChannels> results{};
    std::array<float, kMostChannels> bias{};
    const std::int64_t valid = std::min(block_, channels_ - part.channel);
    for (std::int64_t i = 0; i < (valid + 3) / 4 * 4; ++i) {
      const std::int64_t channel = part.channel + std::min(i, valid - 1);
      const std::int64_t from = part.image * source_channels() + channel / multiplier_;
      const auto lane = static_cast<std::size_t>(i);
      weights[lane] = context.at<float>(slots_.w) + channel * taps();
      sources[lane] = source + from * source_pixels() + read.begin * plan_.source_columns;
      results[lane] = i < valid ? result + (part.image * channels_ + channel) * result_pixels() +
                                      part.begin * plan_.result_columns
                                : scratch + aside_;
      if (bias_ >= 0) bias[lane] = context.at<float>(bias_)[channel];
    }
    code_.gather(weights.data(), block_, taps(), scratch);
    code_.gather(sources.data(), block_, (read.end - read.begin) * plan_.source_columns,
                 scratch + source_);
    code_.rows({.plan = &plan_,
                .block = block_,
                .begin = part.begin,
                .end = part.end,
                .source_begin = read.begin,
                .source = scratch + source_,
                .weights = scratch,
                .bias = bias_ >= 0 ? bias.data() : nullptr,
                .relu = relu_,
                .result = scratch + result_});
    code_.scatter(scratch + result_, block_, (part.end - part.begin) * plan_.result_columns,
                  results.data());
  }

  ConvProblem problem_;
  bool forward_;
  ConvSlots slots_;
  DepthwisePlan plan_;
  DepthwiseCode code_;
  std::int64_t channels_;    ///< of the result
  std::int64_t multiplier_;  ///< channels of the result for each of the source
  std::int64_t block_;
  bool plain_ = false;
  std::int64_t blocks_ = 1;       ///< of an image
  std::int64_t blocks_each_ = 1;  ///< of a slice
  std::int64_t band_rows_ = 1, bands_ = 1;
  std::int64_t slices_ = 1;
  std::int64_t source_ = 0, result_ = 0, aside_ = 0;  ///< where they begin in a worker's memory
  std::int64_t worker_ = 0;                           ///< floats of it
  int bias_ = -1;                                     ///< slot of a value for each channel
  bool relu_ = false;
};

}  // namespace

std::unique_ptr<Kernel> make_depthwise_correlate(const KernelProblem& problem,
                                                 const CpuBackend& backend) {
  return std::make_unique<DepthwiseCorrelate>(problem, backend);
}

}  // namespace ingot::cpu
