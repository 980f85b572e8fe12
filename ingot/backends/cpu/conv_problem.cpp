#include "ingot/backends/cpu/conv_problem.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "ingot/ir/op_def.h"
#include "ingot/ops/conv2d_shape.h"

namespace ingot::cpu {
namespace {

const Node::Output& operand(const Node& node, std::size_t i) {
  const Value& value = node.input(i);
  return value.node()->outputs()[static_cast<std::size_t>(value.index())];
}

}  // namespace

bool is_conv(const Node& node) noexcept {
  const std::string_view op = node.op().name;
  return op == "conv2d" || op == "conv2d_input_grad" || op == "conv2d_weight_grad";
}

ConvKind conv_kind(const Node& node) {
  const std::string_view op = node.op().name;
  if (op == "conv2d") return ConvKind::forward;
  return op == "conv2d_input_grad" ? ConvKind::input_grad : ConvKind::weight_grad;
}

ConvValues conv_values(const Node& node) {
  const Node::Output* first = &operand(node, 0);
  const Node::Output* second = &operand(node, 1);
  const Node::Output* result = node.outputs().data();
  switch (conv_kind(node)) {
    case ConvKind::forward: return {.x = first, .w = second, .y = result};
    case ConvKind::input_grad: return {.x = result, .w = second, .y = first};
    case ConvKind::weight_grad: break;
  }
  return {.x = first, .w = result, .y = second};
}

std::int64_t common_block(const ConvValues& values) {
  for (const std::int64_t block : {8, 16}) {
    const Layout activation = Layout::channels_blocked(block);
    const Layout weights({}, {{1, block}, {0, block}});
    if (values.x->layout == activation && values.y->layout == activation &&
        values.w->layout == weights) {
      return block;
    }
  }
  return 0;
}

Support has_full_blocks(const Node& node) {
  const ConvValues values = conv_values(node);
  if (values.x->type.dtype != DType::f32) {
    return Support::no(fmt::format("takes f32, got {}", dtype_name(values.x->type.dtype)));
  }
  const std::int64_t block = common_block(values);
  const ConvProblem problem = ConvProblem::of(node);
  const auto fills = [&](std::int64_t channels) {
    return block > 0 && channels / problem.groups % block == 0;
  };
  if (fills(problem.ic) && fills(problem.oc)) return Support::yes();
  return Support::no(fmt::format(
      "takes full blocks of channels, got input {}, weights {}, output {}",
      values.x->layout.to_string(4), values.w->layout.to_string(4), values.y->layout.to_string(4)));
}

ConvProblem ConvProblem::of(const Node& node) {
  const Conv2dShape s = conv2d_shape(node);
  const auto& [kernel, stride, padding, dilation] = s.window;
  return {.n = s.batch,
          .ic = s.in_channels,
          .ih = s.in_h,
          .iw = s.in_w,
          .oc = s.out_channels,
          .oh = s.out_h,
          .ow = s.out_w,
          .kh = kernel[0],
          .kw = kernel[1],
          .stride_h = stride[0],
          .stride_w = stride[1],
          .top = padding[0],
          .bottom = padding[1],
          .left = padding[2],
          .right = padding[3],
          .dilation_h = dilation[0],
          .dilation_w = dilation[1],
          .groups = s.groups};
}

BatchSlices slice_batch(std::int64_t n, std::int64_t most) noexcept {
  most = std::clamp<std::int64_t>(most, 1, std::max<std::int64_t>(n, 1));
  const std::int64_t images = std::max<std::int64_t>((n + most - 1) / most, 1);
  const std::int64_t count = std::max<std::int64_t>((n + images - 1) / images, 1);
  return {images, count, n - (count - 1) * images};
}

BatchSlices slice_batch(const ConvProblem& problem) noexcept {
  // One core computes some 80 flops in the time that it takes to read 8 bytes from afar; a call
  // into a library costs about as much as 500,000 flops.
  const double weight_cost = 40.0 * 4.0 * static_cast<double>(problem.weights());
  const double least = std::max(2.0 * weight_cost, 2e6);
  const double images = std::ceil(least / std::max(problem.flops_per_image(), 1.0));
  const double most = std::min(static_cast<double>(problem.n) / images, 64.0);
  // An odd number of long slices would leave one of two cores idle at the end.
  auto count = static_cast<std::int64_t>(most);
  if (count < 8 && count % 2 == 1) ++count;
  return slice_batch(problem.n, std::max<std::int64_t>(count, 2));
}

BatchSlices group_batch(const ConvProblem& problem) noexcept {
  // A partial sum is written, read and added: about 30 flops' time a byte.
  const double sum_cost = 30.0 * 4.0 * static_cast<double>(problem.weights());
  const double work = static_cast<double>(problem.n) * problem.flops_per_image();
  const double most = std::min({work / (4.0 * sum_cost), work / 2e6, 16.0});
  auto count = static_cast<std::int64_t>(most);
  if (count % 2 == 1) ++count;
  return slice_batch(problem.n, std::max<std::int64_t>(count, 2));
}

}  // namespace ingot::cpu
