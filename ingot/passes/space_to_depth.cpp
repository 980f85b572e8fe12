// Strided convolutions over a few channels, such as a net's stem, become convolutions of stride 1
// over pixels gathered in blocks: kernels that sum over channels then have enough of them. The
// input's stride[0] x stride[1] blocks become channels, and the kernel, put on the same grid, as
// many of its own; see "space to depth" in https://arxiv.org/abs/1909.11150 (section 4.1) and
// MLPerf's ResNet-50 for TPUs.
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "ingot/ir/op_def.h"
#include "ingot/ops/conv2d_shape.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"

namespace ingot {
namespace {

/// One spatial axis: in blocks of `block`, an output at o reads blocks o - low ... o + high, and
/// tap k of the kernel lies `shift` places further in the kernel of whole blocks.
struct Axis {
  std::int64_t block = 1, low = 0, high = 0, shift = 0, taps = 1;
};

Axis axis_of(const Conv2dShape& shape, int axis) {
  const auto a = static_cast<std::size_t>(axis);
  const auto ceil_div = [](std::int64_t x, std::int64_t y) { return (x + y - 1) / y; };
  Axis result;
  result.block = shape.window.stride[a];
  const std::int64_t before = shape.window.padding[2 * a];
  result.low = ceil_div(before, result.block);
  result.shift = result.low * result.block - before;
  result.taps = ceil_div(result.shift + shape.window.kernel[a], result.block);
  const std::int64_t input = (axis == 0 ? shape.in_h : shape.in_w) / result.block;
  const std::int64_t output = axis == 0 ? shape.out_h : shape.out_w;
  // The output keeps its size: input + low + high - taps + 1.
  result.high = output - input - result.low + result.taps - 1;
  return result;
}

/// The problem on blocks; none where the blocks do not fit it.
struct Blocks {
  Conv2dShape shape;
  Axis h, w;

  [[nodiscard]] std::int64_t channels() const { return shape.in_channels * h.block * w.block; }
  [[nodiscard]] Shape weight() const { return {shape.out_channels, channels(), h.taps, w.taps}; }
};

std::optional<Blocks> blocks_of(const Node& node) {
  const Conv2dShape shape = conv2d_shape(node);
  const auto& [stride_h, stride_w] = shape.window.stride;
  if (shape.groups != 1 || shape.window.dilation != std::array<std::int64_t, 2>{1, 1}) return {};
  if (stride_h * stride_w == 1 || shape.in_h % stride_h != 0 || shape.in_w % stride_w != 0) {
    return {};
  }
  const Blocks blocks{shape, axis_of(shape, 0), axis_of(shape, 1)};
  if (blocks.h.high < 0 || blocks.w.high < 0) return {};
  return blocks;
}

class Gatherer {
 public:
  Gatherer(const Graph& graph, PassContext& context) : rewriter_(graph), context_(context) {}

  std::unique_ptr<Graph> run() {
    for (const auto& node : rewriter_.source().nodes()) {
      if (!rewriter_.done(*node)) visit(*node);
    }
    return rewriter_.finish();
  }

 private:
  [[nodiscard]] std::optional<Blocks> wanted(const Node& node) const {
    const OpDef* const op = &node.op();
    if (op != &conv2d_op() && op != &conv2d_weight_grad_op()) return {};
    if (!context_.target.wants_space_to_depth(node, context_.form)) return {};
    return blocks_of(node);
  }

  void visit(const Node& node) {
    const std::optional<Blocks> blocks = wanted(node);
    if (!blocks) {
      rewriter_.clone(node);
      return;
    }
    const Graph::OriginScope scope = rewriter_.graph().with_origin(node.origin());
    const Value x = gathered(node.input(0), *blocks);
    const Value other = rewriter_.map(node.input(1));
    Conv2dOptions options = conv2d_options(node);
    options.stride = {1, 1};
    options.padding = {blocks->h.low, blocks->h.high, blocks->w.low, blocks->w.high};
    const Value result =
        &node.op() == &conv2d_op()
            ? ops::conv2d(x, gathered_weight(other, *blocks), options, {})
            : scattered_weight(ops::conv2d_weight_grad(x, other, blocks->weight(), options, {}),
                               *blocks);
    rewriter_.replace({const_cast<Node*>(&node), 0}, result);
    ++context_.statistics["space_to_depth.rewritten"];
  }

  /// x[N,C,H,W] -> [N, C * block, H / block, W / block], once for each block size.
  Value gathered(const Value& old, const Blocks& blocks) {
    Value& known = gathered_[{old.node()->id(), old.index(), blocks.h.block, blocks.w.block}];
    if (known.valid()) return known;
    const Conv2dShape& s = blocks.shape;
    const std::int64_t h = s.in_h / blocks.h.block;
    const std::int64_t w = s.in_w / blocks.w.block;
    Value x = ops::reshape(rewriter_.map(old),
                           {s.batch, s.in_channels, h, blocks.h.block, w, blocks.w.block}, {});
    x = ops::transpose(x, {0, 1, 3, 5, 2, 4}, {});
    return known = ops::reshape(x, {s.batch, blocks.channels(), h, w}, {});
  }

  static Value gathered_weight(Value w, const Blocks& blocks) {
    const auto rest = [](const Axis& axis, std::int64_t kernel) {
      return axis.taps * axis.block - axis.shift - kernel;
    };
    const Conv2dShape& s = blocks.shape;
    const auto& [kernel_h, kernel_w] = s.window.kernel;
    const auto& [h, v] = std::pair(blocks.h, blocks.w);
    w = ops::pad(w, {{0, 0, h.shift, v.shift}, {0, 0, rest(h, kernel_h), rest(v, kernel_w)}, {}},
                 0.0, {});
    w = ops::reshape(w, {s.out_channels, s.in_channels, h.taps, h.block, v.taps, v.block}, {});
    return ops::reshape(ops::transpose(w, {0, 1, 3, 5, 2, 4}, {}), blocks.weight(), {});
  }

  static Value scattered_weight(Value w, const Blocks& blocks) {
    const Conv2dShape& s = blocks.shape;
    const auto& [kernel_h, kernel_w] = s.window.kernel;
    const auto& [h, v] = std::pair(blocks.h, blocks.w);
    w = ops::reshape(w, {s.out_channels, s.in_channels, h.block, v.block, h.taps, v.taps}, {});
    w = ops::transpose(w, {0, 1, 4, 2, 5, 3}, {});
    w = ops::reshape(w, {s.out_channels, s.in_channels, h.taps * h.block, v.taps * v.block}, {});
    return ops::slice(w, {0, 0, h.shift, v.shift},
                      {s.out_channels, s.in_channels, h.shift + kernel_h, v.shift + kernel_w}, {},
                      {});
  }

  Rewriter rewriter_;
  PassContext& context_;
  std::map<std::tuple<int, int, std::int64_t, std::int64_t>, Value> gathered_;
};

}  // namespace

std::unique_ptr<Graph> space_to_depth(const Graph& graph, PassContext& context) {
  return Gatherer(graph, context).run();
}

}  // namespace ingot
