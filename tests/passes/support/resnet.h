// A whole training step of ResNet-18 with the stem for small images, written out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ingot/autodiff/gradients.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"

namespace ingot::testing_support {

class ResNet18 {
 public:
  /// `width` channels after the stem (64 in the real one), images of 3 x size x size.
  ResNet18(std::int64_t batch, std::int64_t width, std::int64_t size) {
    const Value x = graph.placeholder("input", {DType::f32, {batch, 3, size, size}});
    const Value labels = graph.placeholder("labels", {DType::i32, {batch}});
    Value y = ops::relu(norm("bn1", conv("conv1", x, width, 3, 1)));
    for (int stage = 0; stage < 4; ++stage) {
      for (int block = 0; block < 2; ++block) {
        const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(block);
        y = basic_block(name, y, width << stage, stage > 0 && block == 0 ? 2 : 1);
      }
    }
    const Value features = ops::mean(y, {2, 3});
    const Value logits =
        ops::matmul(features, parameter("fc.weight", {10, width * 8}), false, true) +
        parameter("fc.bias", {10});
    const Value loss = ops::mean(ops::cross_entropy(logits, labels), {});
    graph.fetch("loss", loss);
    train(loss);
  }

  Graph graph;

 private:
  Value parameter(const std::string& name, Shape shape) {
    parameters_.push_back(
        graph.variable(name, {DType::f32, shape}, Initializer::uniform(-0.1, 0.1)));
    return parameters_.back();
  }
  Value conv(const std::string& name, Value x, std::int64_t channels, std::int64_t kernel,
             std::int64_t stride) {
    const Value w = parameter(name + ".weight", {channels, x.shape()[1], kernel, kernel});
    const std::int64_t pad = kernel / 2;
    return ops::conv2d(x, w, {.stride = {stride, stride}, .padding = {pad, pad, pad, pad}});
  }
  Value norm(const std::string& name, Value x) {
    const std::int64_t channels = x.shape()[1];
    const BatchNorm bn = ops::batch_norm(x, parameter(name + ".weight", {channels}),
                                         parameter(name + ".bias", {channels}));
    const std::pair<const char*, Value> statistics[] = {{".running_mean", bn.mean},
                                                        {".running_var", bn.var}};
    for (const auto& [suffix, value] : statistics) {
      const Value running = graph.variable(name + suffix, {DType::f32, {channels}},
                                           Initializer::constant(0), VariableRole::buffer);
      graph.assign(running, running * 0.9 + value * 0.1);
    }
    return bn.y;
  }
  Value basic_block(const std::string& name, Value x, std::int64_t channels, std::int64_t stride) {
    Value y = ops::relu(norm(name + ".bn1", conv(name + ".conv1", x, channels, 3, stride)));
    y = norm(name + ".bn2", conv(name + ".conv2", y, channels, 3, 1));
    Value shortcut = x;
    if (stride != 1) {
      shortcut = norm(name + ".downsample.1", conv(name + ".downsample.0", x, channels, 1, stride));
    }
    return ops::relu(y + shortcut);
  }
  void train(Value loss) {
    const std::vector<Value> grads = gradients(loss, parameters_);
    const std::vector<std::string> names{"lr", "p", "g", "m"};
    const auto rule = ScalarProgram::parse("v = 0.9 * m + g; p - lr * v, v", names);
    std::vector<ops::OptimizerOperand> tensors;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const Value momentum =
          graph.variable(parameters_[i].node()->name() + ".momentum", parameters_[i].type(),
                         Initializer::constant(0), VariableRole::optimizer_state);
      tensors.push_back({parameters_[i], grads[i], {momentum}});
    }
    const std::vector<Value> scalars{
        graph.variable("lr", {DType::f32, {}}, Initializer::constant(0.1), VariableRole::counter)};
    const auto results = ops::optimizer_update(rule, scalars, tensors);
    for (std::size_t i = 0; i < results.size(); ++i) {
      graph.assign(tensors[i].parameter, results[i].parameter);
      graph.assign(tensors[i].states[0], results[i].states[0]);
    }
  }

  std::vector<Value> parameters_;
};

}  // namespace ingot::testing_support
