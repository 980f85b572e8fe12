// Layers, named and initialised as PyTorch's.
#pragma once

#include <array>
#include <cstdint>

#include "ingot/nn/module.h"

namespace ingot::nn {

/// How a convolution's weights start.
enum class ConvInit : std::uint8_t {
  kaiming_uniform,         ///< torch.nn.Conv2d: U(-b, b), b = 1 / sqrt(fan_in)
  kaiming_normal_fan_out,  ///< torchvision's ResNet: N(0, 2 / fan_out) (He et al. 2015)
};

struct Conv2dConfig {
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
  ConvInit init = ConvInit::kaiming_uniform;
};

/// x[N,in,H,W] -> [N,out,H',W']; weight [out,in/groups,k,k], bias [out].
class Conv2d final : public Module {
 public:
  Conv2d(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel_size,
         Conv2dConfig config = {}, SourceLocation location = SourceLocation::current());
  Value forward(ForwardContext& context, Value x) const override;

 private:
  std::int64_t in_, out_, kernel_;
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
ActivationLayer GELU(SourceLocation location = SourceLocation::current());
ActivationLayer SiLU(SourceLocation location = SourceLocation::current());
ActivationLayer Tanh(SourceLocation location = SourceLocation::current());
ActivationLayer Sigmoid(SourceLocation location = SourceLocation::current());

struct PoolConfig {
  std::int64_t stride = 0;  ///< 0: the kernel size
  std::int64_t padding = 0;
};

class MaxPool2d final : public Module {
 public:
  explicit MaxPool2d(std::int64_t kernel_size, PoolConfig config = {},
                     SourceLocation location = SourceLocation::current());
  Value forward(ForwardContext& context, Value x) const override;

 private:
  std::int64_t kernel_;
  PoolConfig config_;
};

/// Padding counts as zeros in the mean, as PyTorch's default has it.
class AvgPool2d final : public Module {
 public:
  explicit AvgPool2d(std::int64_t kernel_size, PoolConfig config = {},
                     SourceLocation location = SourceLocation::current());
  Value forward(ForwardContext& context, Value x) const override;

 private:
  std::int64_t kernel_;
  PoolConfig config_;
};

/// Mean over equal windows; the output size must divide the input size.
class AdaptiveAvgPool2d final : public Module {
 public:
  explicit AdaptiveAvgPool2d(std::int64_t output_size,
                             SourceLocation location = SourceLocation::current());
  Value forward(ForwardContext& context, Value x) const override;

 private:
  std::int64_t output_;
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
