#include "ingot/nn/layers.h"

#include <fmt/core.h>

#include <cmath>

#include "ingot/base/error.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"

namespace ingot::nn {
namespace {

void require(bool holds, std::string_view layer, std::string_view rule, const std::string& got,
             const SourceLocation& location) {
  if (holds) return;
  throw_with_origin(
      user_error(ErrorCode::invalid_argument, fmt::format("{}: {}, got {}", layer, rule, got)),
      {location, {}});
}

void require_positive(std::int64_t value, std::string_view layer, std::string_view what,
                      const SourceLocation& location) {
  require(value > 0, layer, fmt::format("{} must be positive", what), std::to_string(value),
          location);
}

/// "3", or "3x5" where height and width differ.
std::string text_of(Size2d size) {
  return size.height == size.width ? std::to_string(size.height)
                                   : fmt::format("{}x{}", size.height, size.width);
}

void require_positive(Size2d value, std::string_view layer, std::string_view what,
                      const SourceLocation& location) {
  require(value.height > 0 && value.width > 0, layer, fmt::format("{} must be positive", what),
          text_of(value), location);
}

void require_not_negative(Size2d value, std::string_view layer, std::string_view what,
                          const SourceLocation& location) {
  require(value.height >= 0 && value.width >= 0, layer,
          fmt::format("{} must not be negative", what), text_of(value), location);
}

void check_pool(std::string_view layer, Size2d kernel, const PoolConfig& config,
                const SourceLocation& location) {
  require_positive(kernel, layer, "kernel_size", location);
  require_not_negative(config.stride, layer, "stride", location);
  const Size2d& padding = config.padding;
  require(padding.height >= 0 && padding.width >= 0 && 2 * padding.height <= kernel.height &&
              2 * padding.width <= kernel.width,
          layer, "padding must be at most half the kernel_size", text_of(padding), location);
}

template <typename Options>
Options pool_options(Size2d kernel, const PoolConfig& config) {
  Options options;
  options.kernel = {kernel.height, kernel.width};
  const auto or_kernel = [](std::int64_t stride, std::int64_t size) {
    return stride > 0 ? stride : size;
  };
  options.stride = {or_kernel(config.stride.height, kernel.height),
                    or_kernel(config.stride.width, kernel.width)};
  const auto& [height, width] = config.padding;
  options.padding = {height, height, width, width};
  return options;
}

std::string_view op_of(Activation kind) {
  switch (kind) {
    case Activation::relu: return "relu";
    case Activation::leaky_relu: return "leaky_relu";
    case Activation::gelu: return "gelu";
    case Activation::silu: return "silu";
    case Activation::elu: return "elu";
    case Activation::softplus: return "softplus";
    case Activation::tanh: return "tanh";
    case Activation::sigmoid: return "sigmoid";
  }
  return "";
}

}  // namespace

Conv2d::Conv2d(std::int64_t in_channels, std::int64_t out_channels, Size2d kernel_size,
               Conv2dConfig config, SourceLocation location)
    : Module(location),
      in_(in_channels),
      out_(out_channels),
      kernel_(kernel_size),
      config_(config) {
  require_positive(in_channels, "Conv2d", "in_channels", location);
  require_positive(out_channels, "Conv2d", "out_channels", location);
  require_positive(kernel_size, "Conv2d", "kernel_size", location);
  require_positive(config.stride, "Conv2d", "stride", location);
  require_positive(config.dilation, "Conv2d", "dilation", location);
  require_positive(config.groups, "Conv2d", "groups", location);
  require_not_negative(config.padding, "Conv2d", "padding", location);
  require(in_channels % config.groups == 0 && out_channels % config.groups == 0, "Conv2d",
          "groups must divide in_channels and out_channels",
          fmt::format("groups {} for {} -> {}", config.groups, in_channels, out_channels),
          location);
}

Value Conv2d::forward(ForwardContext& context, Value x) const {
  const std::int64_t area = kernel_.height * kernel_.width;
  const double fan_in = static_cast<double>(in_ / config_.groups * area);
  const double bound = 1.0 / std::sqrt(fan_in);
  const double fan_out = static_cast<double>(out_ * area);
  const Initializer init = config_.init == ConvInit::kaiming_uniform
                               ? Initializer::uniform(-bound, bound)
                               : Initializer::normal(0.0, std::sqrt(2.0 / fan_out));
  const Value weight = context.parameter(
      "weight", {out_, in_ / config_.groups, kernel_.height, kernel_.width}, init);
  const Size2d& pad = config_.padding;
  Conv2dOptions options;
  options.stride = {config_.stride.height, config_.stride.width};
  options.padding = {pad.height, pad.height, pad.width, pad.width};
  options.dilation = {config_.dilation.height, config_.dilation.width};
  options.groups = config_.groups;
  Value y = ops::conv2d(x, weight, options, location());
  if (config_.bias) {
    const Value bias = context.parameter("bias", {out_}, Initializer::uniform(-bound, bound));
    y = ops::add(y, ops::reshape(bias, {1, out_, 1, 1}, location()), location());
  }
  return y;
}

Linear::Linear(std::int64_t in_features, std::int64_t out_features, bool bias,
               SourceLocation location)
    : Module(location), in_(in_features), out_(out_features), bias_(bias) {
  require_positive(in_features, "Linear", "in_features", location);
  require_positive(out_features, "Linear", "out_features", location);
}

Value Linear::forward(ForwardContext& context, Value x) const {
  const double bound = 1.0 / std::sqrt(static_cast<double>(in_));
  const Value weight =
      context.parameter("weight", {out_, in_}, Initializer::uniform(-bound, bound));
  Value y = ops::matmul(x, weight, false, true, location());
  if (bias_) {
    const Value bias = context.parameter("bias", {out_}, Initializer::uniform(-bound, bound));
    y = ops::add(y, bias, location());
  }
  return y;
}

BatchNorm2d::BatchNorm2d(std::int64_t features, BatchNormConfig config, SourceLocation location)
    : Module(location), features_(features), config_(config) {
  require_positive(features, "BatchNorm2d", "num_features", location);
  require(config.eps > 0, "BatchNorm2d", "eps must be positive", fmt::format("{}", config.eps),
          location);
  require(config.momentum >= 0 && config.momentum <= 1, "BatchNorm2d", "momentum must be in [0, 1]",
          fmt::format("{}", config.momentum), location);
}

Value BatchNorm2d::forward(ForwardContext& context, Value x) const {
  const Shape channels{features_};
  const Value weight = context.parameter("weight", channels, Initializer::constant(1));
  const Value bias = context.parameter("bias", channels, Initializer::constant(0));
  const Value mean =
      context.buffer("running_mean", {DType::f32, channels}, Initializer::constant(0));
  const Value variance =
      context.buffer("running_var", {DType::f32, channels}, Initializer::constant(1));
  const Value batches =
      context.buffer("num_batches_tracked", {DType::i64, {}}, Initializer::constant(0));
  if (!context.training()) {
    return ops::batch_norm_inference(x, weight, bias, mean, variance, config_.eps, location());
  }
  const ingot::BatchNorm result = ops::batch_norm(x, weight, bias, config_.eps, location());
  const double count = static_cast<double>(x.type().numel()) / static_cast<double>(features_);
  const double momentum = config_.momentum;
  const double unbiased = count > 1 ? count / (count - 1) : 1.0;
  Graph& graph = context.graph();
  graph.assign(mean, (1.0 - momentum) * mean + momentum * result.mean);
  graph.assign(variance, (1.0 - momentum) * variance + (momentum * unbiased) * result.var);
  graph.assign(batches, batches + 1.0);
  return result.y;
}

Value ActivationLayer::forward(ForwardContext&, Value x) const {
  return ops::elementwise(op_of(kind_), {x}, location());
}

ActivationLayer ReLU(SourceLocation location) {
  return ActivationLayer(Activation::relu, location);
}
ActivationLayer LeakyReLU(SourceLocation location) {
  return ActivationLayer(Activation::leaky_relu, location);
}
ActivationLayer ELU(SourceLocation location) { return ActivationLayer(Activation::elu, location); }
ActivationLayer Softplus(SourceLocation location) {
  return ActivationLayer(Activation::softplus, location);
}
ActivationLayer GELU(SourceLocation location) {
  return ActivationLayer(Activation::gelu, location);
}
ActivationLayer SiLU(SourceLocation location) {
  return ActivationLayer(Activation::silu, location);
}
ActivationLayer Tanh(SourceLocation location) {
  return ActivationLayer(Activation::tanh, location);
}
ActivationLayer Sigmoid(SourceLocation location) {
  return ActivationLayer(Activation::sigmoid, location);
}

MaxPool2d::MaxPool2d(Size2d kernel_size, PoolConfig config, SourceLocation location)
    : Module(location), kernel_(kernel_size), config_(config) {
  check_pool("MaxPool2d", kernel_size, config, location);
}

Value MaxPool2d::forward(ForwardContext&, Value x) const {
  return ops::max_pool2d(x, pool_options<MaxPool2dOptions>(kernel_, config_), location());
}

AvgPool2d::AvgPool2d(Size2d kernel_size, PoolConfig config, SourceLocation location)
    : Module(location), kernel_(kernel_size), config_(config) {
  check_pool("AvgPool2d", kernel_size, config, location);
}

Value AvgPool2d::forward(ForwardContext&, Value x) const {
  return ops::avg_pool2d(x, pool_options<AvgPool2dOptions>(kernel_, config_), location());
}

AdaptiveAvgPool2d::AdaptiveAvgPool2d(Size2d output_size, SourceLocation location)
    : Module(location), output_(output_size) {
  require_positive(output_size, "AdaptiveAvgPool2d", "output_size", location);
}

Value AdaptiveAvgPool2d::forward(ForwardContext&, Value x) const {
  const Shape& shape = x.shape();
  require(shape.rank() == 4 && shape[2] % output_.height == 0 && shape[3] % output_.width == 0,
          "AdaptiveAvgPool2d", "output_size must divide height and width",
          fmt::format("{} for {}", text_of(output_), x.type().to_string()), location());
  if (output_.height == 1 && output_.width == 1) return ops::global_avg_pool2d(x, location());
  AvgPool2dOptions options;
  options.kernel = {shape[2] / output_.height, shape[3] / output_.width};
  return ops::avg_pool2d(x, options, location());
}

Dropout::Dropout(double p, SourceLocation location) : Module(location), p_(p) {
  require(p >= 0 && p < 1, "Dropout", "p must be in [0, 1)", fmt::format("{}", p), location);
}

Value Dropout::forward(ForwardContext& context, Value x) const {
  if (!context.training() || p_ == 0.0) return x;
  const Value keep = ops::rng_bernoulli({context.seed(), context.step(), context.stream()},
                                        x.shape(), 1.0 - p_, DType::boolean, location());
  const Value scaled =
      ops::mul(x, context.graph().scalar(1.0 / (1.0 - p_), x.dtype(), location()), location());
  return ops::select(keep, scaled, context.graph().scalar(0.0, x.dtype(), location()), location());
}

Value Flatten::forward(ForwardContext&, Value x) const {
  const std::int64_t n = x.shape().rank() > 0 ? x.shape()[0] : 1;
  return ops::reshape(x, {n, -1}, location());
}

}  // namespace ingot::nn
