// Softmax, log-softmax, cross-entropy and its gradient: claimed composites over rows of classes.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/parallel.h"
#include "ingot/backends/cpu/reduce_simd.h"
#include "ingot/backends/cpu/tile_ops.h"
#include "ingot/base/host_view.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot {
namespace {

/// Up to this many numbers, a loop costs less than a call into SIMD code.
constexpr std::int64_t kShortRow = 24;

float row_max(const float* row, std::int64_t n) {
  if (n > kShortRow) return max_f32(row, n);
  float top = -std::numeric_limits<float>::infinity();
  // A NaN that is lost here comes back in the row's sum.
  for (std::int64_t i = 0; i < n; ++i) top = row[i] <= top ? top : row[i];
  return top;
}
double row_sum(const float* row, std::int64_t n) {
  if (n > kShortRow) return sum_f32(row, n);
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(row[i]);
  return sum;
}

/// The rows of logits as f32, several short ones at a time.
class RowKernel : public Kernel {
 public:
  RowKernel(const KernelProblem& problem, const CpuBackend& backend)
      : pool_(backend.pool()), inputs_(problem.inputs), output_(problem.outputs[0]) {
    const TensorType& logits = problem.node.input_type(0);
    const TensorType& result = problem.node.output_type(0);
    classes_ = logits.shape[logits.shape.rank() - 1];
    rows_ = classes_ == 0 ? 0 : logits.numel() / classes_;
    chunk_ = std::clamp<std::int64_t>(kChunk / std::max<std::int64_t>(classes_, 1), 1,
                                      std::max<std::int64_t>(rows_, 1));
    width_ = rounded(chunk_ * classes_);
    load_ = tile_load_fn(logits.dtype, Lane::f32);
    store_ = tile_store_fn(result.dtype);
    in_bytes_ = classes_ * static_cast<std::int64_t>(dtype_size(logits.dtype));
    out_bytes_ = result.numel() / std::max<std::int64_t>(rows_, 1) *
                 static_cast<std::int64_t>(dtype_size(result.dtype));
    exp_ = tile_fn(ScalarOp::exp, Lane::f32);
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "simd-rows"; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return pool_.size() * kBuffers * width_ * static_cast<std::int64_t>(sizeof(float));
  }
  void run(const KernelContext& context) noexcept override {
    const double cost = static_cast<double>(rows_) * (20.0 + 2.0 * static_cast<double>(classes_));
    parallel_ranges(pool_, rows_, 1, cost, [&](std::int64_t first, std::int64_t last, int worker) {
      auto* buffer = reinterpret_cast<float*>(context.scratch) + worker * kBuffers * width_;
      for (std::int64_t row = first; row < last; row += chunk_) {
        run_rows(context, row, std::min(row + chunk_, last), buffer);
      }
    });
  }

 protected:
  static constexpr std::int64_t kBuffers = 3;

  struct Parts {
    float* shifted;  ///< x - max x
    float* exps;     ///< e^shifted
    double total;    ///< their sum
    float* spare;    ///< room for a row
  };
  /// Makes the row's result; may overwrite the parts.
  virtual void finish_row(const KernelContext& context, std::int64_t row,
                          const Parts& parts) const noexcept = 0;

  void load_row(const KernelContext& context, std::size_t operand, std::int64_t row,
                float* out) const noexcept {
    const std::byte* in = context.slots[inputs_[operand]] + row * in_bytes_;
    if (load_ != nullptr) {
      load_(out, in, classes_);
    } else {
      std::copy_n(reinterpret_cast<const float*>(in), classes_, out);
    }
  }
  /// Writes a row of classes, or one number a row.
  void store_row(const KernelContext& context, std::int64_t row, const float* values,
                 std::int64_t count) const noexcept {
    std::byte* out = context.slots[output_] + row * out_bytes_;
    if (store_ != nullptr) {
      store_(out, values, count);
    } else {
      std::copy_n(values, count, reinterpret_cast<float*>(out));
    }
  }

  ThreadPool& pool_;
  std::vector<int> inputs_;
  int output_;
  std::int64_t rows_ = 0;
  std::int64_t classes_ = 0;

 private:
  static constexpr std::int64_t kChunk = 512;  // elements

  static std::int64_t rounded(std::int64_t elements) {
    return (elements + kTileQuantum - 1) / kTileQuantum * kTileQuantum;
  }

  void run_rows(const KernelContext& context, std::int64_t first, std::int64_t last,
                float* buffer) const noexcept {
    float* shifted = buffer;
    float* exps = buffer + width_;
    const std::int64_t size = (last - first) * classes_;
    for (std::int64_t row = first; row < last; ++row) {
      float* at = shifted + (row - first) * classes_;
      load_row(context, 0, row, at);
      const float top = row_max(at, classes_);
      for (std::int64_t c = 0; c < classes_; ++c) at[c] -= top;
    }
    // What stands behind the rows must not overflow anything.
    std::fill(shifted + size, shifted + rounded(size), 0.0F);
    const std::array<TileArg, 3> args{TileArg{shifted, false}, TileArg{}, TileArg{}};
    exp_(exps, args.data(), rounded(size));
    for (std::int64_t row = first; row < last; ++row) {
      const std::int64_t at = (row - first) * classes_;
      finish_row(context, row,
                 {shifted + at, exps + at, row_sum(exps + at, classes_), buffer + 2 * width_});
    }
  }

  std::int64_t chunk_ = 1;  ///< rows at a time
  std::int64_t width_ = 0;  ///< their elements, rounded up to whole vectors
  ConvertFn load_;
  ConvertFn store_;
  TileFn exp_;
  std::int64_t in_bytes_;
  std::int64_t out_bytes_;
};

class SoftmaxKernel final : public RowKernel {
 public:
  SoftmaxKernel(const KernelProblem& problem, const CpuBackend& backend)
      : RowKernel(problem, backend), log_(&problem.node.op() == &log_softmax_op()) {}

 private:
  void finish_row(const KernelContext& context, std::int64_t row,
                  const Parts& parts) const noexcept override {
    const auto total = static_cast<float>(parts.total);
    const auto log_total = static_cast<float>(std::log(parts.total));
    for (std::int64_t c = 0; c < classes_; ++c) {
      parts.exps[c] = log_ ? parts.shifted[c] - log_total : parts.exps[c] / total;
    }
    store_row(context, row, parts.exps, classes_);
  }

  bool log_;
};

/// With integer labels; operand 2 of the gradient is the loss's gradient.
class CrossEntropyKernel final : public RowKernel {
 public:
  CrossEntropyKernel(const KernelProblem& problem, const CpuBackend& backend)
      : RowKernel(problem, backend),
        gradient_(&problem.node.op() == &cross_entropy_grad_op()),
        smoothing_(problem.node.attr<double>("label_smoothing")),
        node_(problem.node.id()) {
    const OpDef& op = problem.node.op();
    rule_ = static_cast<std::int32_t>(&op.constraint("C5") - op.constraints.data());
  }

 private:
  void finish_row(const KernelContext& context, std::int64_t row,
                  const Parts& parts) const noexcept override {
    const std::int32_t given = context.at<const std::int32_t>(inputs_[1])[row];
    if (given < 0 || given >= classes_) context.errors->latch(node_, rule_, given, row);
    const std::int64_t label = std::clamp<std::int64_t>(given, 0, classes_ - 1);
    if (!gradient_) {
      double target = parts.shifted[label];
      if (smoothing_ > 0) {
        target = target * (1 - smoothing_) +
                 row_sum(parts.shifted, classes_) * smoothing_ / static_cast<double>(classes_);
      }
      const auto loss = static_cast<float>(std::log(parts.total) - target);
      return store_row(context, row, &loss, 1);
    }
    const float g = context.at<const float>(inputs_[2])[row];
    const auto total = static_cast<float>(parts.total);
    const auto others = static_cast<float>(smoothing_ / static_cast<double>(classes_));
    const auto own = static_cast<float>(1 - smoothing_);
    const float predicted = parts.exps[label] / total;
    for (std::int64_t c = 0; c < classes_; ++c) {
      parts.exps[c] = (parts.exps[c] / total - others) * g;
    }
    parts.exps[label] = (predicted - (own + others)) * g;
    store_row(context, row, parts.exps, classes_);
  }

  bool gradient_;
  double smoothing_;
  std::int32_t node_;
  std::int32_t rule_;
};

/// With probabilities as targets.
class CrossEntropyProbsKernel final : public RowKernel {
 public:
  CrossEntropyProbsKernel(const KernelProblem& problem, const CpuBackend& backend)
      : RowKernel(problem, backend),
        gradient_(&problem.node.op() == &cross_entropy_probs_grad_op()) {}

 private:
  void finish_row(const KernelContext& context, std::int64_t row,
                  const Parts& parts) const noexcept override {
    float* probs = parts.spare;
    load_row(context, 1, row, probs);
    if (!gradient_) {
      const double log_total = std::log(parts.total);
      double loss = 0;
      for (std::int64_t c = 0; c < classes_; ++c) {
        loss -= static_cast<double>(probs[c]) * (static_cast<double>(parts.shifted[c]) - log_total);
      }
      const auto rounded = static_cast<float>(loss);
      return store_row(context, row, &rounded, 1);
    }
    const float g = context.at<const float>(inputs_[2])[row];
    const auto scale = static_cast<float>(row_sum(probs, classes_) / parts.total);
    for (std::int64_t c = 0; c < classes_; ++c) {
      parts.exps[c] = (parts.exps[c] * scale - probs[c]) * g;
    }
    store_row(context, row, parts.exps, classes_);
  }

  bool gradient_;
};

/// Rows of f32 or narrower floats along the last axis; the rest is lowered to primitive ops.
Support check_rows(const Node& node, const Backend& backend) {
  const TensorType& logits = node.input_type(0);
  if (logits.dtype == DType::f64) return Support::no("rows are computed in f32, got f64");
  if (node.op().attr_index("axis") >= 0) {
    const std::int64_t axis = node.integer("axis");
    if (axis != -1 && axis != logits.shape.rank() - 1) return Support::no("axis is not the last");
  }
  return require_plain(node, backend);
}

template <class K>
KernelCandidate rows_candidate() {
  return {.name = "simd",
          .supports = check_rows,
          .create = [](const KernelProblem& problem, const Backend& backend) {
            return std::make_unique<K>(problem, as_cpu(backend));
          }};
}

}  // namespace

void register_softmax_kernels(KernelTable& table) {
  table.register_kernel(softmax_op().name, rows_candidate<SoftmaxKernel>());
  table.register_kernel(log_softmax_op().name, rows_candidate<SoftmaxKernel>());
  table.register_kernel(cross_entropy_op().name, rows_candidate<CrossEntropyKernel>());
  table.register_kernel(cross_entropy_grad_op().name, rows_candidate<CrossEntropyKernel>());
  table.register_kernel(cross_entropy_probs_op().name, rows_candidate<CrossEntropyProbsKernel>());
  table.register_kernel(cross_entropy_probs_grad_op().name,
                        rows_candidate<CrossEntropyProbsKernel>());
}

}  // namespace ingot
