// A tensor that is added to a convolution's result, or to a product's, by what makes the result:
// the gradients of a residual block's two branches, the block's sum, a bias among them.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ingot/autodiff/gradients.h"
#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/libraries/conv_library.h"
#include "ingot/backends/cuda/libraries/library_conv.h"
#include "ingot/backends/cuda/libraries/library_epilogue.h"
#include "ingot/backends/cuda/libraries/lt_problem.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"
#include "ingot/passes/precision.h"
#include "tests/backends/support/cuda_source_throughput.h"

namespace ingot::cuda {
namespace {

using testing_support::eighths;
using testing_support::expect_reference_values;
using testing_support::throughput_backend;

struct Conv {
  std::int64_t channels = 64, size = 28, kernel = 3, stride = 1, batch = 64;
  DType dtype = DType::bf16;

  [[nodiscard]] Conv2dOptions options() const {
    const std::int64_t pad = kernel / 2;
    return {.stride = {stride, stride}, .padding = {pad, pad, pad, pad}};
  }
  [[nodiscard]] Shape image() const { return {batch, channels, size, size}; }
  /// The gradient of its image from that of its result.
  [[nodiscard]] Value gradient(Graph& graph) const {
    const std::int64_t out = (size + stride - 1) / stride;
    const Value dy = graph.placeholder("dy", {dtype, {batch, channels, out, out}});
    const Value w = graph.placeholder("w", {dtype, {channels, channels, kernel, kernel}});
    return ops::conv2d_input_grad(dy, w, image(), options(), {});
  }
  [[nodiscard]] Value forward(Graph& graph) const {
    const Value x = graph.placeholder("x", {dtype, image()});
    const Value w = graph.placeholder("w", {dtype, {channels, channels, kernel, kernel}});
    return ops::conv2d(x, w, options());
  }
  [[nodiscard]] Value like(Graph& graph, const std::string& name) const {
    return graph.placeholder(name, {dtype, image()});
  }
};

/// What the libraries are asked for in the lowered Graph, a line each: what is done with the
/// result, or why they are not asked.
std::string asked(const Graph& graph) {
  CudaBackend backend(nullptr, GpuFacts{});
  backend.force_form(StepForm::throughput);
  PassContext context(backend);
  const auto low = run_passes(graph, pass_list(), {}, context);
  std::string text;
  for (const auto& node : low->nodes()) {
    const Node* const producer = contraction_of(*node);
    if (producer == nullptr) continue;
    if (!conv2d_operands(producer->op())) {
      const LtProblemResult product = lt_problem(*node);
      const std::string whole = product.problem.text();
      text += (product.support ? whole.substr(whole.find(" d=")) : product.support.reason) + "\n";
      continue;
    }
    const ConvProblemResult conv = conv_problem(*node);
    const std::string whole = conv.problem.text();
    text +=
        (conv.support ? whole.substr(whole.find("dilation=") + 12) : conv.support.reason) + "\n";
    EXPECT_EQ(conv.places.addend >= 0, conv.problem.addend);
  }
  return text;
}

std::string asked(const std::function<Value(Graph&)>& build) {
  Graph graph;
  graph.fetch("y", build(graph));
  return asked(graph);
}

TEST(CudaAddition, AGradientTakesThatOfTheOtherBranch) {
  const Conv conv;
  EXPECT_EQ(asked([&](Graph& graph) {
              return ops::add(conv.gradient(graph), conv.like(graph, "z"), {});
            }),
            " addend\n");
  EXPECT_EQ(asked([&](Graph& graph) {
              return ops::add(conv.like(graph, "z"), conv.gradient(graph), {});
            }),
            " addend\n");
}

TEST(CudaAddition, NothingElseFollowsAGradient) {
  const Conv conv;
  EXPECT_EQ(asked([&](Graph& graph) { return ops::relu(conv.gradient(graph), {}); }), "\n");
  EXPECT_EQ(asked([&](Graph& graph) {
              return ops::relu(ops::add(conv.gradient(graph), conv.like(graph, "z"), {}), {});
            }),
            " addend\n");
  EXPECT_EQ(asked([&](Graph& graph) {
              const Value bias = graph.placeholder("bias", {DType::bf16, {1, 64, 1, 1}});
              return ops::add(conv.gradient(graph), bias, {});
            }),
            "\n");
}

TEST(CudaAddition, AForwardResultTakesItBesideABiasAndBeforeAReLU) {
  const Conv conv;
  const auto bias = [](Graph& graph, Value y) {
    return ops::add(y, graph.placeholder("bias", {DType::bf16, {1, 64, 1, 1}}), {});
  };
  const auto z = [&](Graph& graph, Value y, const std::string& name = "z") {
    return ops::add(conv.like(graph, name), y, {});
  };
  EXPECT_EQ(asked([&](Graph& g) { return z(g, conv.forward(g)); }), " addend\n");
  EXPECT_EQ(asked([&](Graph& g) { return ops::relu(z(g, conv.forward(g)), {}); }),
            " addend relu\n");
  EXPECT_EQ(asked([&](Graph& g) { return ops::relu(z(g, bias(g, conv.forward(g))), {}); }),
            " bias:bf16 addend relu\n");
  EXPECT_EQ(asked([&](Graph& g) { return bias(g, z(g, conv.forward(g))); }), " bias:bf16 addend\n");
  // One of each, and nothing after the ReLU.
  EXPECT_EQ(asked([&](Graph& g) { return z(g, z(g, conv.forward(g)), "other"); }), " addend\n");
  EXPECT_EQ(asked([&](Graph& g) { return z(g, ops::relu(conv.forward(g), {})); }), " relu\n");
  // Of another dtype, or broadcast.
  EXPECT_EQ(asked([&](Graph& g) {
              const Value wide = g.placeholder("wide", {DType::f32, conv.image()});
              return ops::add(ops::cast(conv.forward(g), DType::f32, {}), wide, {});
            }),
            "\n");
  EXPECT_EQ(asked([&](Graph& g) {
              const Value row = g.placeholder("row", {DType::bf16, {1, 1, 1, 28}});
              return ops::add(conv.forward(g), row, {});
            }),
            "\n");
}

TEST(CudaAddition, BelongsToAProduct) {
  const auto product = [](Graph& graph) {
    return ops::matmul(graph.placeholder("a", {DType::bf16, {512, 256}}),
                       graph.placeholder("b", {DType::bf16, {256, 128}}));
  };
  const auto z = [](Graph& graph) { return graph.placeholder("z", {DType::bf16, {512, 128}}); };
  const std::string bare = " d=bf16[128x512]/128";
  EXPECT_EQ(asked([&](Graph& g) { return ops::add(product(g), z(g), {}); }), bare + " addend\n");
  EXPECT_EQ(asked([&](Graph& g) {
              const Value bias = g.placeholder("bias", {DType::bf16, {128}});
              return ops::relu(ops::add(ops::add(product(g), bias, {}), z(g), {}), {});
            }),
            "the library adds a matrix alone\n");
  EXPECT_EQ(asked([&](Graph& g) {
              const Value both = ops::add(ops::add(product(g), z(g), {}),
                                          g.placeholder("other", {DType::bf16, {512, 128}}), {});
              return both;
            }),
            "the library has no such epilogue\n");
}

/// Why an addition does not join a gradient; empty: it does.
std::string refusal(const Conv& conv) {
  Graph graph;
  const Value dx = conv.gradient(graph);
  const Value sum = ops::add(dx, conv.like(graph, "z"), {});
  const CudaBackend backend(nullptr, GpuFacts{});
  const std::vector<const Node*> region{dx.node()};
  return backend.can_fuse(region, *sum.node(), StepForm::throughput).reason;
}

TEST(CudaAddition, AGradientThatWaitsForMemoryLeavesItToWhoReadsTheSum) {
  const std::string longer = "its producer would take longer for it than who reads the sum";
  EXPECT_EQ(refusal({}), "");
  EXPECT_EQ(refusal({.channels = 128, .stride = 2}), longer);
  EXPECT_EQ(refusal({.channels = 256, .kernel = 1}), longer);
  EXPECT_EQ(refusal({.channels = 512, .kernel = 1}), "");
  // Twice the bytes, but a small part of the arithmetic a second.
  EXPECT_EQ(refusal({.channels = 256, .kernel = 1, .dtype = DType::f32}), "");
}

TEST(CudaAddition, AForwardResultAlwaysSavesAPass) {
  const Conv conv{.channels = 256, .kernel = 1, .stride = 2};
  Graph graph;
  const Value y = conv.forward(graph);
  const Value sum = ops::add(y, graph.placeholder("z", y.type()), {});
  const CudaBackend backend(nullptr, GpuFacts{});
  const std::vector<const Node*> region{y.node()};
  EXPECT_EQ(backend.can_fuse(region, *sum.node(), StepForm::throughput).reason, "");
}

/// Stands for a library that adds to what lies where the result will.
class InPlace final : public ConvCall {
 public:
  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] std::int64_t workspace_bytes() const noexcept override { return 0; }
  void enqueue(CUstream, const ConvMemory&, std::byte*) const override {}
  [[nodiscard]] bool in_place() const noexcept override { return true; }

 private:
  std::string name_ = "in place";
};

class InPlaceLibrary final : public ConvLibrary {
 public:
  [[nodiscard]] std::string version() const override { return "in place 1"; }
  std::shared_ptr<const ConvCall> find(const ConvProblem& problem, std::string&) override {
    additions += problem.addend ? 1 : 0;
    return std::make_shared<InPlace>();
  }
  int additions = 0;
};

/// Two residual blocks without batch norm, their ReLUs and the gradients of all weights, in bf16.
Graph residual_net() {
  Graph graph;
  const Conv conv{.batch = 512};
  const Value image = graph.placeholder("image", {DType::f32, conv.image()});
  std::vector<Value> weights;
  const auto layer = [&](Value x) {
    weights.push_back(graph.variable("w" + std::to_string(weights.size()),
                                     {DType::f32, {64, 64, 3, 3}}, Initializer::constant(0)));
    return ops::conv2d(x, weights.back(), conv.options());
  };
  Value y = ops::relu(layer(image));
  for (int block = 0; block < 2; ++block) {
    y = ops::relu(layer(ops::relu(layer(y))) + y);
  }
  graph.fetch("loss", ops::mean(y * y, {}));
  auto low = apply_precision(graph, Precision::bf16);
  std::vector<Value> parameters;
  for (const Node* node : low->nodes_of(variable_op())) {
    parameters.push_back({const_cast<Node*>(node), 0});
  }
  const std::vector<Value> grads = gradients(low->fetches().front().value, parameters);
  for (std::size_t i = 0; i < grads.size(); ++i) {
    low->assign(parameters[i], parameters[i] - grads[i] * 0.1);
  }
  return std::move(*low);
}

TEST(CudaAddition, OfALibraryThatAddsInPlaceMovesNothing) {
  CudaBackend backend(nullptr, GpuFacts{});
  backend.force_form(StepForm::throughput);
  const auto library = std::make_shared<InPlaceLibrary>();
  backend.use_conv_library(library);
  PassContext context(backend);
  const Graph graph = residual_net();
  auto low = run_passes(graph, pass_list(), {}, context);
  const Program program = build_program(std::move(low), backend, context.form);
  int forward = 0;
  int backward = 0;
  for (const Launch& launch : program.main) {
    const Node* const producer = contraction_of(*launch.node);
    if (producer == nullptr || !conv2d_operands(producer->op())) continue;
    const ConvProblemResult conv = conv_problem(*launch.node);
    ASSERT_TRUE(conv.support) << conv.support.reason;
    if (!conv.problem.addend) continue;
    const auto place = static_cast<std::size_t>(conv.places.addend);
    const bool shares =
        program.root_of(launch.inputs[place]) == program.root_of(launch.outputs.front());
    if (conv.problem.kind == ConvKind::forward) {
      // The backward pass reads the block's input once more.
      EXPECT_FALSE(shares);
      ++forward;
    } else {
      EXPECT_TRUE(shares) << launch.node->name();
      ++backward;
    }
  }
  EXPECT_EQ(forward, 2);
  EXPECT_EQ(backward, 2);
  EXPECT_GE(library->additions, 4);
}

/// Ingot's own tiles add before they round: eighths have sums that are exact either way.
TEST(CudaAddition, ByIngotsOwnTilesGivesTheReferencesValues) {
  const auto backend = throughput_backend();
  if (backend == nullptr) GTEST_SKIP() << "there is no GPU";
  for (const std::int64_t stride : {1, 2}) {
    for (const std::int64_t kernel : {1, 3}) {
      const Conv conv{.channels = 8, .size = 6, .kernel = kernel, .stride = stride, .batch = 2};
      Graph graph;
      const auto low = [&](const std::string& name, const Shape& shape) {
        return ops::cast(graph.placeholder(name, {DType::f32, shape}), DType::bf16, {});
      };
      const std::int64_t out = (conv.size + stride - 1) / stride;
      const Shape gradient{2, 8, out, out};
      const Shape weight{8, 8, kernel, kernel};
      const Value dx = ops::conv2d_input_grad(low("dy", gradient), low("w", weight), conv.image(),
                                              conv.options(), {});
      graph.fetch("y", ops::cast(ops::add(dx, low("z", conv.image()), {}), DType::f32, {}));
      const std::vector<float> dy = eighths(gradient.numel(), 1);
      const std::vector<float> w = eighths(weight.numel(), 2);
      const std::vector<float> z = eighths(conv.image().numel(), 3);
      const std::vector<Feed> feeds{{"dy", dy.data(), dy.size() * sizeof(float)},
                                    {"w", w.data(), w.size() * sizeof(float)},
                                    {"z", z.data(), z.size() * sizeof(float)}};
      // The reference rounds the gradient before it adds.
      expect_reference_values(backend, graph, feeds, 8e-3);
    }
  }
}

}  // namespace
}  // namespace ingot::cuda
