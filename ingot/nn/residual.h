// Residual blocks (He et al. 2016), as in torchvision.
#pragma once

#include "ingot/nn/layers.h"

namespace ingot::nn {

/// conv3x3-bn-relu-conv3x3-bn plus the shortcut, then ReLU.
class BasicBlock final : public Module {
 public:
  static constexpr std::int64_t kExpansion = 1;
  BasicBlock(std::int64_t in_channels, std::int64_t channels, std::int64_t stride,
             SourceLocation location = SourceLocation::current());
  Value forward(ForwardContext& context, Value x) const override;

 private:
  std::int64_t in_, channels_, stride_;
};

/// conv1x1-bn-relu-conv3x3-bn-relu-conv1x1-bn (4 times as many channels) plus the shortcut, then
/// ReLU; the stride is in the 3x3 convolution.
class Bottleneck final : public Module {
 public:
  static constexpr std::int64_t kExpansion = 4;
  Bottleneck(std::int64_t in_channels, std::int64_t channels, std::int64_t stride,
             SourceLocation location = SourceLocation::current());
  Value forward(ForwardContext& context, Value x) const override;

 private:
  std::int64_t in_, channels_, stride_;
};

}  // namespace ingot::nn
