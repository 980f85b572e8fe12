#include "ingot/backends/cpu/conv_blocked.h"

#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cpu/conv_blocked_simd.h"
#include "ingot/backends/cpu/conv_direct.h"
#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/ir/op_def.h"

namespace ingot::cpu {
namespace {

/// Bytes of x and of the gradient that are read for every tap: well within the second-level cache.
constexpr std::int64_t kChunkBytes = 96 << 10;

/// Output positions along one axis that reach the input through one tap.
struct Reach {
  std::int64_t begin = 0, end = 0;
  std::int64_t first_input = 0;  ///< of output `begin`

  Reach(std::int64_t stride, std::int64_t before, std::int64_t shift, std::int64_t input,
        std::int64_t from, std::int64_t to) {
    const auto divide_up = [](std::int64_t a, std::int64_t b) {
      return a > 0 ? (a + b - 1) / b : 0;
    };
    begin = std::max(from, divide_up(before - shift, stride));
    end = std::min(to, divide_up(input + before - shift, stride));
    first_input = begin * stride + shift - before;
  }
};

class BlockedWeightGrad final : public Kernel {
 public:
  BlockedWeightGrad(const KernelProblem& problem, const CpuBackend& backend)
      : problem_(ConvProblem::of(problem.node)),
        slots_(problem),
        pool_(backend.pool()),
        block_(common_block(conv_values(problem.node))),
        tap_(blocked_code(block_).tap),
        in_blocks_(problem_.ic / problem_.groups / block_),
        out_blocks_(problem_.oc / problem_.groups / block_) {
    // Input blocks are apart; where these are few, output blocks and taps are, too.
    const std::int64_t tasks = problem_.groups * in_blocks_;
    out_parts_ = std::clamp<std::int64_t>(8 / tasks, 1, (out_blocks_ + 1) / 2);
    const std::int64_t taps = problem_.kh * problem_.kw;
    tap_parts_ = tasks * out_parts_ < 8 ? taps : 1;

    const std::int64_t x_row = problem_.iw * block_;
    const std::int64_t g_row = 2 * problem_.ow * block_;
    const std::int64_t image = 4 * (problem_.ih * x_row + problem_.oh * g_row);
    images_ = std::clamp<std::int64_t>(kChunkBytes / image, 1, problem_.n);
    const std::int64_t bands = (image + kChunkBytes - 1) / kChunkBytes;
    rows_ = (problem_.oh + bands - 1) / bands;
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "blocked"; }

  void run(const KernelContext& context) noexcept override {
    const float* x = context.at<float>(slots_.x);
    const float* g = context.at<float>(slots_.y);
    float* w = context.at<float>(slots_.w);
    const std::int64_t tasks = problem_.groups * in_blocks_ * out_parts_ * tap_parts_;
    pool_.parallel_for(tasks, [&](std::int64_t task, int) {
      const std::int64_t taps = problem_.kh * problem_.kw;
      const std::int64_t tap_part = task % tap_parts_;
      const std::int64_t out_part = task / tap_parts_ % out_parts_;
      const std::int64_t in = task / (tap_parts_ * out_parts_);  // group and block in it
      const Work work{.in = in,
                      .out_begin = out_part * out_blocks_ / out_parts_,
                      .out_end = (out_part + 1) * out_blocks_ / out_parts_,
                      .tap_begin = tap_part * taps / tap_parts_,
                      .tap_end = (tap_part + 1) * taps / tap_parts_};
      for (std::int64_t n = 0; n < problem_.n; n += images_) {
        for (std::int64_t row = 0; row < problem_.oh; row += rows_) {
          run_chunk(x, g, w, work, n, row);
        }
      }
    });
  }

 private:
  struct Work {
    std::int64_t in;
    std::int64_t out_begin, out_end;
    std::int64_t tap_begin, tap_end;
  };

  /// Adds what images n, n + 1, ... and output rows from `row` on give.
  void run_chunk(const float* x, const float* g, float* w, const Work& work, std::int64_t n,
                 std::int64_t row) const noexcept {
    const ConvProblem& p = problem_;
    const std::int64_t group = work.in / in_blocks_;
    const std::int64_t taps = p.kh * p.kw;
    const std::int64_t w_size = taps * block_ * block_;
    for (std::int64_t out = work.out_begin; out < work.out_end; out += 2) {
      const std::int64_t out_block = group * out_blocks_ + out;
      const std::int64_t w_block = out_block * in_blocks_ + work.in % in_blocks_;
      for (std::int64_t tap = work.tap_begin; tap < work.tap_end; ++tap) {
        const Reach rows(p.stride_h, p.top, tap / p.kw * p.dilation_h, p.ih, row,
                         std::min(row + rows_, p.oh));
        const Reach columns(p.stride_w, p.left, tap % p.kw * p.dilation_w, p.iw, 0, p.ow);
        const bool any = rows.begin < rows.end && columns.begin < columns.end;
        tap_({.x = x + n * p.x_image() +
                   ((work.in * p.ih + rows.first_input) * p.iw + columns.first_input) * block_,
              .g = g + n * p.y_image() +
                   ((out_block * p.oh + rows.begin) * p.ow + columns.begin) * block_,
              .w = w + w_block * w_size + tap * block_ * block_,
              .images = any ? std::min(images_, p.n - n) : 0,
              .rows = rows.end - rows.begin,
              .columns = columns.end - columns.begin,
              .x_image = p.x_image(),
              .x_row = p.stride_h * p.iw * block_,
              .x_column = p.stride_w * block_,
              .g_image = p.y_image(),
              .g_row = p.ow * block_,
              .g_block = p.oh * p.ow * block_,
              .w_block = in_blocks_ * w_size,
              .two_blocks = out + 1 < work.out_end,
              .add = n > 0 || row > 0});
      }
    }
  }

  ConvProblem problem_;
  ConvSlots slots_;
  ThreadPool& pool_;
  std::int64_t block_;
  BlockedCode::Function tap_;
  std::int64_t in_blocks_, out_blocks_;  ///< of a group
  std::int64_t out_parts_ = 1, tap_parts_ = 1;
  std::int64_t images_ = 1, rows_ = 1;  ///< of a chunk
};

Support supports(const Node& node, const Backend&) {
  if (Support support = has_weight_grad_blocks(node); !support) return support;
  const ConvProblem problem = ConvProblem::of(node);
  // Each element of these is used once a block, not once a tap and block: memory bounds them.
  if (problem.kh * problem.kw == 1) return Support::no("takes no 1x1 kernels");
  return Support::yes();
}

std::unique_ptr<Kernel> create(const KernelProblem& problem, const Backend& backend) {
  return std::make_unique<BlockedWeightGrad>(problem, as_cpu(backend));
}

}  // namespace

Support has_weight_grad_blocks(const Node& node) {
  if (Support blocks = has_full_blocks(node); !blocks) return blocks;
  const std::int64_t block = common_block(conv_values(node));
  const ConvProblem problem = ConvProblem::of(node);
  if (blocked_code(block).tap == nullptr) {
    return Support::no(fmt::format("vectors are shorter than {} lanes", block));
  }
  if (problem.n == 0) return Support::no("takes no empty tensors");
  return Support::yes();
}

KernelCandidate blocked_weight_grad_candidate() { return {"blocked", supports, create}; }

}  // namespace ingot::cpu
