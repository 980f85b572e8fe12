#include "ingot/nn/residual.h"

#include "ingot/ops/ops.h"

namespace ingot::nn {
namespace {

Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
            SourceLocation location) {
  return Conv2d(in, out, kernel,
                {.stride = stride,
                 .padding = kernel / 2,
                 .bias = false,
                 .init = ConvInit::kaiming_normal_fan_out},
                location);
}

/// conv-bn with torchvision's names: conv1 and bn1, conv2 and bn2, ...
Value conv_bn(ForwardContext& context, int number, const Conv2d& convolution, std::int64_t channels,
              Value x) {
  x = run_child(context, "conv" + std::to_string(number), convolution, x);
  return run_child(context, "bn" + std::to_string(number),
                   BatchNorm2d(channels, {}, convolution.location()), x);
}

Value shortcut(ForwardContext& context, std::int64_t in, std::int64_t out, std::int64_t stride,
               Value x, SourceLocation location) {
  if (in == out && stride == 1) return x;
  const Sequential downsample(conv(in, out, 1, stride, location), BatchNorm2d(out, {}, location));
  return run_child(context, "downsample", downsample, x);
}

}  // namespace

BasicBlock::BasicBlock(std::int64_t in_channels, std::int64_t channels, std::int64_t stride,
                       SourceLocation location)
    : Module(location), in_(in_channels), channels_(channels), stride_(stride) {}

Value BasicBlock::forward(ForwardContext& context, Value x) const {
  const SourceLocation& loc = location();
  Value y = conv_bn(context, 1, conv(in_, channels_, 3, stride_, loc), channels_, x);
  y = ops::relu(y, loc);
  y = conv_bn(context, 2, conv(channels_, channels_, 3, 1, loc), channels_, y);
  return ops::relu(ops::add(y, shortcut(context, in_, channels_, stride_, x, loc), loc), loc);
}

Bottleneck::Bottleneck(std::int64_t in_channels, std::int64_t channels, std::int64_t stride,
                       SourceLocation location)
    : Module(location), in_(in_channels), channels_(channels), stride_(stride) {}

Value Bottleneck::forward(ForwardContext& context, Value x) const {
  const SourceLocation& loc = location();
  const std::int64_t out = channels_ * kExpansion;
  Value y = ops::relu(conv_bn(context, 1, conv(in_, channels_, 1, 1, loc), channels_, x), loc);
  y = ops::relu(conv_bn(context, 2, conv(channels_, channels_, 3, stride_, loc), channels_, y),
                loc);
  y = conv_bn(context, 3, conv(channels_, out, 1, 1, loc), out, y);
  return ops::relu(ops::add(y, shortcut(context, in_, out, stride_, x, loc), loc), loc);
}

}  // namespace ingot::nn
