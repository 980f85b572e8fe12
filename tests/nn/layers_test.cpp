#include "ingot/nn/layers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "ingot/engine/compile.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ops/operators.h"
#include "tests/support/expect_error.h"

namespace ingot::nn {
namespace {

/// First line of the Error that `call` throws.
template <typename Call>
std::string message_of(Call&& call) {
  const std::string text = testing_support::error_of(call);
  return text.substr(0, text.find('\n'));
}

struct Moments {
  double mean = 0;
  double deviation = 0;
  double largest = 0;
};

/// Of a variable's start value, when `module` runs on x of this shape.
Moments start_of(const Module& module, const Shape& shape, std::string_view variable) {
  Graph graph;
  ForwardContext context(graph, true);
  run_child(context, "", module, graph.placeholder("x", {DType::f32, shape}));
  const Node* node = graph.find_variable(variable);
  const HostTensor value = initial_value(node->output_type(), initializer_of(*node), variable, 11);
  Moments m;
  const auto values = value.to_doubles();
  for (const double v : values) {
    m.mean += v / static_cast<double>(values.size());
    m.largest = std::max(m.largest, std::abs(v));
  }
  for (const double v : values) {
    m.deviation += (v - m.mean) * (v - m.mean) / static_cast<double>(values.size());
  }
  m.deviation = std::sqrt(m.deviation);
  return m;
}

void expect_uniform(const Moments& m, double bound) {
  EXPECT_NEAR(m.mean, 0, 0.05 * bound);
  EXPECT_NEAR(m.deviation, bound / std::sqrt(3.0), 0.05 * bound);
  EXPECT_LE(m.largest, bound);
  EXPECT_GT(m.largest, 0.9 * bound);
}

TEST(Layers, StartAsPyTorchsDo) {
  const Conv2d conv(16, 64, 3);
  expect_uniform(start_of(conv, {1, 16, 8, 8}, "weight"), 1 / std::sqrt(16.0 * 9));
  const Conv2d wide(16, 4096, 1);
  expect_uniform(start_of(wide, {1, 16, 8, 8}, "bias"), 1 / std::sqrt(16.0));
  const Conv2d grouped(16, 64, 3, {.groups = 4});
  expect_uniform(start_of(grouped, {1, 16, 8, 8}, "weight"), 1 / std::sqrt(4.0 * 9));
  const Linear linear(64, 4096);
  expect_uniform(start_of(linear, {1, 64}, "weight"), 1 / std::sqrt(64.0));
  expect_uniform(start_of(linear, {1, 64}, "bias"), 1 / std::sqrt(64.0));
  const Conv2d residual(16, 64, 3, {.bias = false, .init = ConvInit::kaiming_normal_fan_out});
  const Moments normal = start_of(residual, {1, 16, 8, 8}, "weight");
  EXPECT_NEAR(normal.mean, 0, 0.003);
  EXPECT_NEAR(normal.deviation, std::sqrt(2.0 / (64 * 9)), 0.002);
  EXPECT_GT(normal.largest, 3 * normal.deviation);
}

HostTensor run(const Module& module, bool training, const HostTensor& x, VariableStore& store) {
  Graph graph;
  ForwardContext context(graph, training);
  const Value input = graph.placeholder("x", x.type());
  graph.fetch("y", run_child(context, "", module, input));
  if (training) graph.assign(context.step(), context.step() + 1.0);
  Executable exe = compile(graph, store);
  exe.run({{"x", x.bytes().data(), x.bytes().size()}});
  return exe.fetched("y");
}

HostTensor ramp(const Shape& shape) {
  HostTensor x({DType::f32, shape});
  for (std::int64_t i = 0; i < x.type().numel(); ++i) {
    x.view().set(i, 0.1 * static_cast<double>(i) + 1);
  }
  return x;
}

TEST(Layers, BatchNormDiffersInEvaluation) {
  VariableStore store(make_backend("reference"), 1);
  const BatchNorm2d layer(1, {.momentum = 0.25});
  const HostTensor x = ramp({2, 1, 1, 2});  // 1, 1.1, 1.2, 1.3
  const HostTensor trained = run(layer, true, x, store);
  EXPECT_NEAR(trained.view().get(0), -0.15 / std::sqrt(0.0125 + 1e-5), 1e-5);
  EXPECT_NEAR(store.read("running_mean").view().get(0), 0.25 * 1.15, 1e-6);
  EXPECT_NEAR(store.read("running_var").view().get(0), 0.75 + 0.25 * 0.05 / 3, 1e-6);
  EXPECT_EQ(store.read("num_batches_tracked").view().get_int(0), 1);
  const HostTensor evaluated = run(layer, false, x, store);
  const double mean = store.read("running_mean").view().get(0);
  const double variance = store.read("running_var").view().get(0);
  EXPECT_NEAR(evaluated.view().get(3), (1.3 - mean) / std::sqrt(variance + 1e-5), 1e-5);
  EXPECT_EQ(store.read("num_batches_tracked").view().get_int(0), 1);
}

TEST(Layers, DropoutIsRandomInTrainingAlone) {
  VariableStore store(make_backend("reference"), 1);
  const Dropout layer(0.25);
  const HostTensor x({DType::f32, {4000}}, std::vector<double>(4000, 3.0));
  const HostTensor first = run(layer, true, x, store);
  int zeros = 0;
  for (const double v : first.to_doubles()) {
    zeros += v == 0 ? 1 : 0;
    EXPECT_TRUE(v == 0 || v == 4.0);
  }
  EXPECT_NEAR(zeros, 1000, 120);
  EXPECT_NE(run(layer, true, x, store), first);  // another step
  EXPECT_EQ(run(layer, false, x, store), x);
  EXPECT_EQ(run(Dropout(0.0), true, x, store), x);
}

TEST(Layers, PoolingAndFlatten) {
  VariableStore store(make_backend("reference"), 1);
  const HostTensor x = ramp({1, 1, 4, 4});
  EXPECT_NEAR(run(MaxPool2d(2), true, x, store).view().get(0), 1.5, 1e-6);
  EXPECT_NEAR(run(AvgPool2d(2), true, x, store).view().get(0), 1.25, 1e-6);
  EXPECT_NEAR(run(AdaptiveAvgPool2d(2), true, x, store).view().get(3), 2.25, 1e-6);
  EXPECT_EQ(run(Flatten(), true, x, store).type(), (TensorType{DType::f32, {1, 16}}));
}

TEST(Layers, ParametersOfAGraph) {
  Graph graph;
  ForwardContext context(graph, true);
  const Sequential net(Conv2d(1, 2, 1), BatchNorm2d(2), Dropout(0.5), Flatten());
  run_child(context, "", net, graph.placeholder("x", {DType::f32, {1, 1, 2, 2}}));
  std::vector<std::string> names;
  for (const Value& value : parameters(graph)) names.push_back(value.node()->name());
  EXPECT_EQ(names, (std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias"}));
}

TEST(Layers, HeightAndWidthMayDiffer) {
  VariableStore store(make_backend("reference"), 1);
  const HostTensor x = ramp({1, 1, 4, 6});
  const Conv2d conv(1, 2, {1, 3}, {.stride = {2, 1}, .padding = {0, 1}, .dilation = {1, 1}});
  EXPECT_EQ(run(conv, true, x, store).type().shape, (Shape{1, 2, 2, 6}));
  EXPECT_EQ(store.read("weight").type().shape, (Shape{2, 1, 1, 3}));
  // Rows of six: the largest of the first two rows and three columns is the ninth.
  const HostTensor top = run(MaxPool2d({2, 3}), true, x, store);
  EXPECT_EQ(top.type().shape, (Shape{1, 1, 2, 2}));
  EXPECT_NEAR(top.view().get(0), 1.8, 1e-6);
  EXPECT_EQ(run(AvgPool2d({2, 3}, {.stride = {1, 0}}), true, x, store).type().shape,
            (Shape{1, 1, 3, 2}));
  EXPECT_EQ(run(AdaptiveAvgPool2d({2, 3}), true, x, store).type().shape, (Shape{1, 1, 2, 3}));
  EXPECT_EQ(message_of([] { Conv2d(3, 8, {3, 0}); }),
            "Conv2d: kernel_size must be positive, got 3x0");
  EXPECT_EQ(message_of([] { Conv2d(3, 8, 3, {.padding = {1, -1}}); }),
            "Conv2d: padding must not be negative, got 1x-1");
  EXPECT_EQ(message_of([] { MaxPool2d({2, 4}, {.padding = {2, 2}}); }),
            "MaxPool2d: padding must be at most half the kernel_size, got 2");
}

TEST(Layers, Activations) {
  VariableStore store(make_backend("reference"), 1);
  const std::vector<double> two{-1.0, 2.0};
  const HostTensor x({DType::f32, {2}}, two);
  struct Expected {
    ActivationLayer layer;
    double below;
    double above;
  };
  for (const auto& [layer, below, above] :
       {Expected{ReLU(), 0, 2}, Expected{LeakyReLU(), -0.01, 2},
        Expected{ELU(), std::exp(-1.0) - 1, 2},
        Expected{Softplus(), std::log1p(std::exp(-1.0)), std::log1p(std::exp(2.0))},
        Expected{GELU(), -0.5 * std::erfc(1 / std::sqrt(2.0)), 2 - std::erfc(2 / std::sqrt(2.0))},
        Expected{SiLU(), -1 / (1 + std::exp(1.0)), 2 / (1 + std::exp(-2.0))},
        Expected{Tanh(), std::tanh(-1.0), std::tanh(2.0)},
        Expected{Sigmoid(), 1 / (1 + std::exp(1.0)), 1 / (1 + std::exp(-2.0))}}) {
    const HostTensor y = run(layer, true, x, store);
    EXPECT_NEAR(y.view().get(0), below, 1e-6);
    EXPECT_NEAR(y.view().get(1), above, 1e-6);
  }
}

TEST(Layers, ErrorsOfTheConfiguration) {
  EXPECT_EQ(message_of([] { Conv2d(0, 8, 3); }), "Conv2d: in_channels must be positive, got 0");
  EXPECT_EQ(message_of([] { Conv2d(3, 0, 3); }), "Conv2d: out_channels must be positive, got 0");
  EXPECT_EQ(message_of([] { Conv2d(3, 8, 0); }), "Conv2d: kernel_size must be positive, got 0");
  EXPECT_EQ(message_of([] { Conv2d(3, 8, 3, {.stride = 0}); }),
            "Conv2d: stride must be positive, got 0");
  EXPECT_EQ(message_of([] { Conv2d(3, 8, 3, {.dilation = 0}); }),
            "Conv2d: dilation must be positive, got 0");
  EXPECT_EQ(message_of([] { Conv2d(3, 8, 3, {.groups = 0}); }),
            "Conv2d: groups must be positive, got 0");
  EXPECT_EQ(message_of([] { Conv2d(3, 8, 3, {.padding = -1}); }),
            "Conv2d: padding must not be negative, got -1");
  EXPECT_EQ(message_of([] { Conv2d(3, 8, 3, {.groups = 2}); }),
            "Conv2d: groups must divide in_channels and out_channels, got groups 2 for 3 -> 8");
  EXPECT_EQ(message_of([] { Linear(0, 1); }), "Linear: in_features must be positive, got 0");
  EXPECT_EQ(message_of([] { Linear(1, -1); }), "Linear: out_features must be positive, got -1");
  EXPECT_EQ(message_of([] { BatchNorm2d(0); }),
            "BatchNorm2d: num_features must be positive, got 0");
  EXPECT_EQ(message_of([] { BatchNorm2d(1, {.eps = 0}); }),
            "BatchNorm2d: eps must be positive, got 0");
  EXPECT_EQ(message_of([] { BatchNorm2d(1, {.momentum = 1.5}); }),
            "BatchNorm2d: momentum must be in [0, 1], got 1.5");
  EXPECT_EQ(message_of([] { MaxPool2d(0); }), "MaxPool2d: kernel_size must be positive, got 0");
  EXPECT_EQ(message_of([] { AvgPool2d(2, {.stride = -1}); }),
            "AvgPool2d: stride must not be negative, got -1");
  EXPECT_EQ(message_of([] { MaxPool2d(2, {.padding = 2}); }),
            "MaxPool2d: padding must be at most half the kernel_size, got 2");
  EXPECT_EQ(message_of([] { Dropout(1.0); }), "Dropout: p must be in [0, 1), got 1");
  EXPECT_EQ(message_of([] { AdaptiveAvgPool2d(0); }),
            "AdaptiveAvgPool2d: output_size must be positive, got 0");
  VariableStore store(make_backend("reference"), 1);
  EXPECT_EQ(message_of([&] { run(AdaptiveAvgPool2d(3), true, ramp({1, 1, 4, 4}), store); }),
            "AdaptiveAvgPool2d: output_size must divide height and width, got 3 for f32[1,1,4,4]");
}

}  // namespace
}  // namespace ingot::nn
