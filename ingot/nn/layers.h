// Layers, named and initialised as PyTorch's.
#pragma once

#include <array>
#include <cstdint>

#include "ingot/nn/module.h"

namespace ingot::nn {

/// Height and width; one number stands for both, as in PyTorch.
struct Size2d {
  std::int64_t height;
  std::int64_t width;
  // NOLINTNEXTLINE(google-explicit-constructor): `Conv2d(3, 8, 3)`
  constexpr Size2d(std::int64_t both) : height(both), width(both) {}
  constexpr Size2d(std::int64_t h, std::int64_t w) : height(h), width(w) {}
};

/// How a convolution's weights start.
enum class ConvInit : std::uint8_t {
  kaiming_uniform,         ///< torch.nn.Conv2d: U(-b, b), b = 1 / sqrt(fan_in)
  kaiming_normal_fan_out,  ///< torchvision's ResNet: N(0, 2 / fan_out) (He et al. 2015)
};

struct Conv2dConfig {
  Size2d stride = 1;
  Size2d padding = 0;  ///< on each side
  Size2d dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
  ConvInit init = ConvInit::kaiming_uniform;
};

/// x[N,in,H,W] -> [N,out,H',W']; weight [out,in/groups,kh,kw], bias [out].
class Conv2d final : public Module {
 public:
  Conv2d(std::int64_t in_channels, std::int64_t out_channels, Size2d kernel_size,
         Conv2dConfig config = {}, SourceLocation location = SourceLocation::current());
  Value forward(ForwardContext& context, Value x) const override;

 private:
  std::int64_t in_, out_;
  Size2d kernel_;
  Conv2dConfig config_;
};

/// x[N,in] -> [N,out]: x W^T + b; weight [out,in], bias [out].
class Linear final : public Module {
 public:
  Linear(std::int64_t in_features, std::int64_t out_features, bool bias = true,
         SourceLocation location = SourceLocation::current());
  Value forward(ForwardContext& context, Value x) const override;

 private:
  std::int64_t in_, out_;
  bool bias_;
};

struct BatchNormConfig {
  double eps = 1e-5;
  double momentum = 0.1;  ///< weight of the new batch in the running statistics
};

/// Ioffe and Szegedy 2015. Training: batch statistics, running statistics updated (the variance
/// unbiased). Evaluation: running statistics. weight, bias, running_mean, running_var [C],
/// num_batches_tracked i64[].
class BatchNorm2d final : public Module {
 public:
  explicit BatchNorm2d(std::int64_t features, BatchNormConfig config = {},
                       SourceLocation location = SourceLocation::current());
  Value forward(ForwardContext& context, Value x) const override;

 private:
  std::int64_t features_;
  BatchNormConfig config_;
};

enum class Activation : std::uint8_t { relu, leaky_relu, gelu, silu, elu, softplus, tanh, sigmoid };

/// An elementwise activation.
class ActivationLayer final : public Module {
 public:
  explicit ActivationLayer(Activation kind, SourceLocation location = SourceLocation::current())
      : Module(location), kind_(kind) {}
  Value forward(ForwardContext& context, Value x) const override;

 private:
  Activation kind_;
};
ActivationLayer ReLU(SourceLocation location = SourceLocation::current());
/// Slope 0.01 below zero.
ActivationLayer LeakyReLU(SourceLocation location = SourceLocation::current());
ActivationLayer ELU(SourceLocation location = SourceLocation::current());
ActivationLayer Softplus(SourceLocation location = SourceLocation::current());
ActivationLayer GELU(SourceLocation location = SourceLocation::current());
ActivationLayer SiLU(SourceLocation location = SourceLocation::current());
ActivationLayer Tanh(SourceLocation location = SourceLocation::current());
ActivationLayer Sigmoid(SourceLocation location = SourceLocation::current());

struct PoolConfig {
  Size2d stride = 0;   ///< 0: the kernel size
  Size2d padding = 0;  ///< on each side, at most half the kernel size
};

class MaxPool2d final : public Module {
 public:
  explicit MaxPool2d(Size2d kernel_size, PoolConfig config = {},
                     SourceLocation location = SourceLocation::current());
  Value forward(ForwardContext& context, Value x) const override;

 private:
  Size2d kernel_;
  PoolConfig config_;
};

/// Padding counts as zeros in the mean, as PyTorch's default has it.
class AvgPool2d final : public Module {
 public:
  explicit AvgPool2d(Size2d kernel_size, PoolConfig config = {},
                     SourceLocation location = SourceLocation::current());
  Value forward(ForwardContext& context, Value x) const override;

 private:
  Size2d kernel_;
  PoolConfig config_;
};

/// Mean over equal windows; the output size must divide the input size.
class AdaptiveAvgPool2d final : public Module {
 public:
  explicit AdaptiveAvgPool2d(Size2d output_size,
                             SourceLocation location = SourceLocation::current());
  Value forward(ForwardContext& context, Value x) const override;

 private:
  Size2d output_;
};

/// Training: each element is zero with probability p, else scaled by 1 / (1 - p); new random
/// numbers every step. Evaluation: the identity.
class Dropout final : public Module {
 public:
  explicit Dropout(double p = 0.5, SourceLocation location = SourceLocation::current());
  Value forward(ForwardContext& context, Value x) const override;

 private:
  double p_;
};

/// [N, ...] -> [N, product of the rest]
class Flatten final : public Module {
 public:
  explicit Flatten(SourceLocation location = SourceLocation::current()) : Module(location) {}
  Value forward(ForwardContext& context, Value x) const override;
};

}  // namespace ingot::nn
