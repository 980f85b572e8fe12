// Softmax, log-softmax, cross-entropy and its gradient: claimed composites over rows of classes.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/fusion_rules.h"
#include "ingot/backends/cpu/parallel.h"
#include "ingot/backends/cpu/reduce_simd.h"
#include "ingot/backends/cpu/tile_ops.h"
#include "ingot/base/host_view.h"
#include "ingot/ir/core_ops.h"
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

/// Where a Node's operand lies: in a slot, or in the Graph as a constant of a Region's body.
struct RowOperand {
  int slot = -1;
  const std::byte* constant = nullptr;

  [[nodiscard]] const std::byte* at(const KernelContext& context) const noexcept {
    return constant != nullptr ? constant : context.slots[slot];
  }
};

/// One operand, row by row, as f32.
class RowSource {
 public:
  RowSource(const TensorType& type, RowOperand operand, std::int64_t classes)
      : operand_(operand),
        load_(tile_load_fn(type.dtype, Lane::f32)),
        classes_(classes),
        bytes_(classes * static_cast<std::int64_t>(dtype_size(type.dtype))) {}

  void load(const KernelContext& context, std::int64_t row, float* out) const noexcept {
    const std::byte* in = operand_.at(context) + row * bytes_;
    if (load_ != nullptr) {
      load_(out, in, classes_);
    } else {
      std::copy_n(reinterpret_cast<const float*>(in), classes_, out);
    }
  }

 private:
  RowOperand operand_;
  ConvertFn load_;
  std::int64_t classes_;
  std::int64_t bytes_;
};

struct RowParts {
  float* shifted;  ///< x - max x
  float* exps;     ///< e^shifted
  double total;    ///< their sum
  float* spare;    ///< room for a row
};

/// A Node on rows of logits and where it lies: alone, or in the body of a Region.
struct RowProblem {
  const Node& node;
  std::vector<RowOperand> operands;
  int output;
  std::int32_t outer;       ///< id of the Node, or of its Region
  std::int32_t inner = -1;  ///< id of the Node in the Region's body
};

/// What a Node makes of a row's parts.
class RowFinish {
 public:
  explicit RowFinish(const RowProblem& problem)
      : classes_(classes_of(problem.node)), output_(problem.output) {
    const TensorType& result = problem.node.output_type(0);
    const std::int64_t rows = classes_ == 0 ? 0 : problem.node.input_type(0).numel() / classes_;
    store_ = tile_store_fn(result.dtype);
    bytes_ = result.numel() / std::max<std::int64_t>(rows, 1) *
             static_cast<std::int64_t>(dtype_size(result.dtype));
  }
  virtual ~RowFinish() = default;
  RowFinish(const RowFinish&) = delete;
  RowFinish& operator=(const RowFinish&) = delete;

  static std::int64_t classes_of(const Node& node) {
    const Shape& shape = node.input_type(0).shape;
    return shape[shape.rank() - 1];
  }

  /// Makes the row's result. A loss leaves the parts as they are but for the spare row; what makes
  /// a row of classes may overwrite them.
  virtual void run(const KernelContext& context, std::int64_t row,
                   const RowParts& parts) const noexcept = 0;

 protected:
  /// Writes a row of classes, or one number a row.
  void store_row(const KernelContext& context, std::int64_t row, const float* values,
                 std::int64_t count) const noexcept {
    std::byte* out = context.slots[output_] + row * bytes_;
    if (store_ != nullptr) {
      store_(out, values, count);
    } else {
      std::copy_n(values, count, reinterpret_cast<float*>(out));
    }
  }

  std::int64_t classes_;

 private:
  int output_;
  ConvertFn store_;
  std::int64_t bytes_;
};

class SoftmaxFinish final : public RowFinish {
 public:
  explicit SoftmaxFinish(const RowProblem& problem)
      : RowFinish(problem), log_(&problem.node.op() == &log_softmax_op()) {}

  void run(const KernelContext& context, std::int64_t row,
           const RowParts& parts) const noexcept override {
    const auto total = static_cast<float>(parts.total);
    const auto log_total = static_cast<float>(std::log(parts.total));
    for (std::int64_t c = 0; c < classes_; ++c) {
      parts.exps[c] = log_ ? parts.shifted[c] - log_total : parts.exps[c] / total;
    }
    store_row(context, row, parts.exps, classes_);
  }

 private:
  bool log_;
};

/// With integer labels; operand 2 of the gradient is the loss's gradient.
class CrossEntropyFinish final : public RowFinish {
 public:
  explicit CrossEntropyFinish(const RowProblem& problem)
      : RowFinish(problem),
        operands_(problem.operands),
        gradient_(&problem.node.op() == &cross_entropy_grad_op()),
        smoothing_(problem.node.attr<double>("label_smoothing")),
        outer_(problem.outer),
        inner_(problem.inner) {
    const OpDef& op = problem.node.op();
    rule_ = static_cast<std::int32_t>(&op.constraint("C5") - op.constraints.data());
  }

  void run(const KernelContext& context, std::int64_t row,
           const RowParts& parts) const noexcept override {
    const std::int32_t given = reinterpret_cast<const std::int32_t*>(operands_[1].at(context))[row];
    if (given < 0 || given >= classes_) context.errors->latch(outer_, rule_, given, row, inner_);
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
    const float g = reinterpret_cast<const float*>(operands_[2].at(context))[row];
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

 private:
  std::vector<RowOperand> operands_;
  bool gradient_;
  double smoothing_;
  std::int32_t outer_, inner_;
  std::int32_t rule_;
};

/// With probabilities as targets.
class CrossEntropyProbsFinish final : public RowFinish {
 public:
  explicit CrossEntropyProbsFinish(const RowProblem& problem)
      : RowFinish(problem),
        probs_(problem.node.input_type(1), problem.operands[1], classes_),
        gradient_(&problem.node.op() == &cross_entropy_probs_grad_op()) {
    if (gradient_) loss_gradient_ = problem.operands[2];
  }

  void run(const KernelContext& context, std::int64_t row,
           const RowParts& parts) const noexcept override {
    float* probs = parts.spare;
    probs_.load(context, row, probs);
    if (!gradient_) {
      const double log_total = std::log(parts.total);
      double loss = 0;
      for (std::int64_t c = 0; c < classes_; ++c) {
        loss -= static_cast<double>(probs[c]) * (static_cast<double>(parts.shifted[c]) - log_total);
      }
      const auto rounded = static_cast<float>(loss);
      return store_row(context, row, &rounded, 1);
    }
    const float g = reinterpret_cast<const float*>(loss_gradient_.at(context))[row];
    const auto scale = static_cast<float>(row_sum(probs, classes_) / parts.total);
    for (std::int64_t c = 0; c < classes_; ++c) {
      parts.exps[c] = (parts.exps[c] * scale - probs[c]) * g;
    }
    store_row(context, row, parts.exps, classes_);
  }

 private:
  RowSource probs_;
  bool gradient_;
  RowOperand loss_gradient_;
};

std::unique_ptr<RowFinish> make_finish(const RowProblem& problem) {
  const OpDef* op = &problem.node.op();
  if (op == &softmax_op() || op == &log_softmax_op()) {
    return std::make_unique<SoftmaxFinish>(problem);
  }
  if (op == &cross_entropy_op() || op == &cross_entropy_grad_op()) {
    return std::make_unique<CrossEntropyFinish>(problem);
  }
  return std::make_unique<CrossEntropyProbsFinish>(problem);
}

/// The Node itself, or those of a Region's body, in order.
std::vector<RowProblem> row_problems(const KernelProblem& problem) {
  const Node& node = problem.node;
  std::vector<RowProblem> rows;
  if (node.body() == nullptr) {
    std::vector<RowOperand> operands;
    for (const int slot : problem.inputs) operands.push_back({.slot = slot});
    rows.push_back({node, std::move(operands), problem.outputs[0], node.id()});
    return rows;
  }
  const auto& fetches = node.body()->fetches();
  for (const auto& inner : node.body()->nodes()) {
    if (inner->op().traits.source) continue;
    std::vector<RowOperand> operands;
    for (const Value& input : inner->inputs()) {
      const Node& from = *input.node();
      operands.push_back(
          &from.op() == &constant_op()
              ? RowOperand{.constant = from.attr<TensorAttr>("value").tensor->view().data}
              : RowOperand{.slot =
                               problem.inputs[static_cast<std::size_t>(from.integer("index"))]});
    }
    const auto result = std::ranges::find_if(
        fetches, [&](const Fetch& fetch) { return fetch.value.node() == inner.get(); });
    rows.push_back({*inner, std::move(operands),
                    problem.outputs[static_cast<std::size_t>(result - fetches.begin())], node.id(),
                    inner->id()});
  }
  return rows;
}

/// The rows of logits as f32, several short ones at a time, and what one Node or two make of them.
class RowKernel final : public Kernel {
 public:
  RowKernel(const KernelProblem& problem, const CpuBackend& backend)
      : RowKernel(row_problems(problem), backend) {}

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

 private:
  static constexpr std::int64_t kBuffers = 3;
  static constexpr std::int64_t kChunk = 512;  // elements

  RowKernel(const std::vector<RowProblem>& problems, const CpuBackend& backend)
      : pool_(backend.pool()),
        classes_(RowFinish::classes_of(problems.front().node)),
        logits_(problems.front().node.input_type(0), problems.front().operands[0], classes_),
        exp_(tile_fn(ScalarOp::exp, Lane::f32)) {
    rows_ = classes_ == 0 ? 0 : problems.front().node.input_type(0).numel() / classes_;
    chunk_ = std::clamp<std::int64_t>(kChunk / std::max<std::int64_t>(classes_, 1), 1,
                                      std::max<std::int64_t>(rows_, 1));
    width_ = rounded(chunk_ * classes_);
    for (const RowProblem& problem : problems) finishes_.push_back(make_finish(problem));
  }

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
      logits_.load(context, row, at);
      const float top = row_max(at, classes_);
      for (std::int64_t c = 0; c < classes_; ++c) at[c] -= top;
    }
    // What stands behind the rows must not overflow anything.
    std::fill(shifted + size, shifted + rounded(size), 0.0F);
    const std::array<TileArg, 3> args{TileArg{shifted, false}, TileArg{}, TileArg{}};
    exp_(exps, args.data(), rounded(size));
    for (std::int64_t row = first; row < last; ++row) {
      const std::int64_t at = (row - first) * classes_;
      const RowParts parts{shifted + at, exps + at, row_sum(exps + at, classes_),
                           buffer + 2 * width_};
      for (const auto& finish : finishes_) finish->run(context, row, parts);
    }
  }

  ThreadPool& pool_;
  std::int64_t rows_ = 0;
  std::int64_t classes_ = 0;
  RowSource logits_;
  std::int64_t chunk_ = 1;  ///< rows at a time
  std::int64_t width_ = 0;  ///< their elements, rounded up to whole vectors
  TileFn exp_;
  std::vector<std::unique_ptr<RowFinish>> finishes_;
};

/// Rows of f32 or narrower floats along the last axis; the rest is lowered to primitive ops.
Support check_rows(const Node& node, const Backend& backend) {
  const TensorType& logits = node.input_type(0);
  if (logits.dtype == DType::f64) return Support::no("rows are computed in f32, got f64");
  if (node.op().attr_index("axis") >= 0) {
    const std::int64_t axis = node.integer("axis");
    const int last = logits.shape.rank() - 1;
    if (axis != -1 && axis != last) {
      return Support::no(fmt::format("takes the last axis, {}, got {}", last, axis));
    }
  }
  return require_plain(node, backend);
}

KernelCandidate rows_candidate(std::string_view name,
                               Support (*supports)(const Node&, const Backend&)) {
  return {.name = name,
          .supports = supports,
          .create = [](const KernelProblem& problem, const Backend& backend) {
            return std::make_unique<RowKernel>(problem, as_cpu(backend));
          }};
}

/// The Nodes of a Region's body that are no arguments or constants.
std::vector<const Node*> inner_nodes(const Node& region) {
  std::vector<const Node*> nodes;
  for (const auto& node : region.body()->nodes()) {
    if (!node->op().traits.source) nodes.push_back(node.get());
  }
  return nodes;
}

/// A loss and its gradient, one after the other, each a result of the Region.
Support check_pair(const Node& region) {
  const std::vector<const Node*> nodes = inner_nodes(region);
  if (nodes.size() != 2 || region.outputs().size() != 2) {
    return Support::no(
        fmt::format("takes 2 Nodes and 2 results, a loss and its gradient, got {} and {}",
                    nodes.size(), region.outputs().size()));
  }
  return cpu::can_join_loss(*nodes[0], *nodes[1]);
}

Support check_pair_of_rows(const Node& region, const Backend& backend) {
  if (Support support = check_pair(region); !support) return support;
  for (const Node* node : inner_nodes(region)) {
    if (Support support = check_rows(*node, backend); !support) return support;
  }
  return Support::yes();
}

}  // namespace

bool cpu::is_loss_pair(const Node& region) { return check_pair(region).ok; }

bool cpu::is_loss_gradient(const Node& node) {
  return &node.op() == &cross_entropy_grad_op() || &node.op() == &cross_entropy_probs_grad_op();
}

Support cpu::can_join_loss(const Node& loss, const Node& gradient) {
  const bool of_labels =
      &loss.op() == &cross_entropy_op() && &gradient.op() == &cross_entropy_grad_op();
  const bool of_probs =
      &loss.op() == &cross_entropy_probs_op() && &gradient.op() == &cross_entropy_probs_grad_op();
  if (!of_labels && !of_probs) {
    return Support::no(fmt::format("takes a loss and its gradient, got {} and {}", loss.op().name,
                                   gradient.op().name));
  }
  if (loss.input(0) != gradient.input(0) || loss.input(1) != gradient.input(1)) {
    return Support::no("the loss and the gradient read different logits or targets");
  }
  if (of_probs) return Support::yes();
  const auto smoothing = loss.attr<double>("label_smoothing");
  const auto of_gradient = gradient.attr<double>("label_smoothing");
  if (smoothing == of_gradient) return Support::yes();
  return Support::no(
      fmt::format("the loss smooths labels by {}, the gradient by {}", smoothing, of_gradient));
}

void register_softmax_kernels(KernelTable& table) {
  for (const OpDef* op :
       {&softmax_op(), &log_softmax_op(), &cross_entropy_op(), &cross_entropy_grad_op(),
        &cross_entropy_probs_op(), &cross_entropy_probs_grad_op()}) {
    table.register_kernel(op->name, rows_candidate("simd", check_rows));
  }
  table.register_kernel(fused_op().name, rows_candidate("simd-rows", check_pair_of_rows));
}

}  // namespace ingot
