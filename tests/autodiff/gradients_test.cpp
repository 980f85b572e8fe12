#include "ingot/autodiff/gradients.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "ingot/ir/evaluate.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using testing_support::expect_user_error;

constexpr TensorType f64(Shape shape) { return {DType::f64, shape}; }

/// One Value of the Graph, also when it is not fetched.
HostTensor evaluate_value(const Graph& graph, Value value, const HostTensors& feeds) {
  HostTensor result(value.type());
  evaluate(graph, feeds, {}, [&](const Node& node, std::span<const HostView> outputs) {
    if (&node != value.node()) return;
    const HostView& output = outputs[static_cast<std::size_t>(value.index())];
    std::copy_n(output.data, output.type.bytes(), result.bytes().data());
  });
  return result;
}

HostTensor wave(const TensorType& type, double phase) {
  HostTensor tensor(type);
  for (std::int64_t i = 0; i < type.numel(); ++i) {
    tensor.view().set(i, 0.7 * std::sin(static_cast<double>(i) * 1.3 + phase) + 0.1);
  }
  return tensor;
}

std::string operand_name(std::size_t i) { return {'x', static_cast<char>('0' + i)}; }

/// Central differences of the loss against the built gradients, for every element.
void expect_gradients(const std::vector<TensorType>& types,
                      const std::function<Value(std::span<const Value>)>& build) {
  Graph graph;
  std::vector<Value> inputs;
  HostTensors feeds;
  for (std::size_t i = 0; i < types.size(); ++i) {
    const std::string name = operand_name(i);
    inputs.push_back(graph.placeholder(name, types[i]));
    feeds[name] = wave(types[i], static_cast<double>(i));
  }
  const Value loss = build(inputs);
  const std::vector<Value> grads = gradients(loss, inputs);
  ASSERT_EQ(grads.size(), inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_EQ(grads[i].type(), types[i]);
    const HostTensor got = evaluate_value(graph, grads[i], feeds);
    const HostView x = feeds[operand_name(i)].view();
    for (std::int64_t k = 0; k < x.numel(); ++k) {
      const double h = 1e-6;
      const double kept = x.get(k);
      x.set(k, kept + h);
      const double up = evaluate_value(graph, loss, feeds).view().get(0);
      x.set(k, kept - h);
      const double down = evaluate_value(graph, loss, feeds).view().get(0);
      x.set(k, kept);
      EXPECT_NEAR(got.view().get(k), (up - down) / (2 * h), 1e-7) << "operand " << i << " at " << k;
    }
  }
}

TEST(Gradients, OfAnElementwiseNetWithBroadcastsAgreeWithFiniteDifferences) {
  expect_gradients({f64({2, 3, 2, 2}), f64({3}), f64({})}, [](std::span<const Value> x) {
    const Value bias = ops::reshape(x[1], {1, 3, 1, 1});
    const Value y = ops::tanh(x[0] * bias + x[2]);
    return ops::sum(ops::sigmoid(y) * y, {});
  });
}

TEST(Gradients, OfAValueUsedOftenAreSummed) {
  expect_gradients({f64({4})}, [](std::span<const Value> x) {
    const Value a = ops::exp(x[0]);
    return ops::sum(a * a + a / (a + 1.0) - x[0] * a, {});
  });
}

TEST(Gradients, OfReductionsAndBroadcastsAgreeWithFiniteDifferences) {
  expect_gradients({f64({3, 4})}, [](std::span<const Value> x) {
    const Value rows = ops::sum(x[0], {1}, true);
    return ops::sum(ops::cos(ops::broadcast_to(rows, {3, 4}) * x[0]), {});
  });
}

TEST(Gradients, OfAConvolutionalNetAgreeWithFiniteDifferences) {
  expect_gradients({f64({2, 2, 4, 4}), f64({3, 2, 3, 3}), f64({3}), f64({3}), f64({12, 4})},
                   [](std::span<const Value> x) {
                     Graph& graph = x[0].graph();
                     const Value y = ops::conv2d(x[0], x[1], {.padding = {1, 1, 1, 1}});
                     const Value normal = ops::batch_norm(y, x[2], x[3]).y;
                     const Value pooled = ops::avg_pool2d(ops::tanh(normal) + y);
                     const Value logits = ops::matmul(ops::reshape(pooled, {2, 12}), x[4]);
                     const Value labels =
                         graph.constant(HostTensor({DType::i32, {2}}, std::vector<double>{3, 1}));
                     return ops::mean(ops::cross_entropy(logits, labels, 0.1), {});
                   });
}

TEST(Gradients, OfTheSecondOrderAgreeWithFiniteDifferences) {
  expect_gradients({f64({3})}, [](std::span<const Value> x) {
    const Value y = ops::sum(ops::exp(x[0]) * x[0], {});
    const Value first = gradients(y, x).front();
    return ops::sum(first * first, {});
  });
}

TEST(Gradients, OfAnIntermediateValueIncludeAllItsUses) {
  Graph graph;
  const Value x = graph.placeholder("x", f64({2}));
  const Value y = x * 3.0;
  const Value loss = ops::sum(y * y + x, {});
  const std::vector<Value> wrt{y, x};
  const std::vector<Value> grads = gradients(loss, wrt);
  const HostTensors feeds{{"x", HostTensor(f64({2}), std::vector{1.0, 2.0})}};
  EXPECT_EQ(evaluate_value(graph, grads[0], feeds).to_doubles(), (std::vector{6.0, 12.0}));
  EXPECT_EQ(evaluate_value(graph, grads[1], feeds).to_doubles(), (std::vector{19.0, 37.0}));
}

TEST(Gradients, AreZerosWhereTheLossDoesNotReach) {
  Graph graph;
  const Value x = graph.placeholder("x", f64({2}));
  const Value other = graph.placeholder("other", f64({2, 2}));
  const std::vector<Value> wrt{other};
  const Value grad = gradients(ops::sum(x, {}), wrt).front();
  ASSERT_EQ(grad.type(), f64({2, 2}));
  EXPECT_EQ(evaluate_value(graph, grad, {{"x", wave(f64({2}), 0)}, {"other", wave(f64({2, 2}), 0)}})
                .to_doubles(),
            std::vector<double>(4, 0.0));
}

TEST(Gradients, DoNotWalkBranchesThatLeadToNoAskedValue) {
  Graph graph;
  const Value x = graph.placeholder("x", f64({2}));
  const Value w = graph.placeholder("w", f64({2}));
  // floor is not differentiable, but only the data lies behind it.
  const Value data = ops::elementwise("floor", {ops::exp(x)});
  const std::size_t before = graph.size();
  const std::vector<Value> wrt{w};
  gradients(ops::sum(data * w, {}), wrt);
  for (std::size_t i = before; i < graph.size(); ++i) {
    EXPECT_NE(graph.nodes()[i]->op().name, "exp");
  }
}

TEST(Gradients, KeepTheOriginOfTheForwardNode) {
  Graph graph;
  const Value x = graph.placeholder("x", f64({2}));
  Value y;
  {
    const auto scope = graph.module("layer1");
    y = ops::tanh(x);
  }
  const Value loss = ops::sum(y, {});
  const std::size_t before = graph.size();
  const std::vector<Value> wrt{x};
  const Value grad = gradients(loss, wrt).front();
  EXPECT_EQ(grad.node()->origin().module_path, "layer1");
  EXPECT_EQ(grad.node()->origin().location.line, y.node()->origin().location.line);
  EXPECT_GT(graph.size(), before);
}

TEST(Gradients, OfACompositeWithoutItsOwnGoThroughItsBody) {
  const OpDef composite{.name = "test.square_times_cos",
                        .summary = "x * x * cos(x)",
                        .inputs = {{"x", "any"}},
                        .outputs = {{"y", "same"}},
                        .infer = [](const InferContext& ctx) { return std::vector{ctx.input(0)}; },
                        .reference =
                            [](const ReferenceContext& ctx) {
                              for (std::int64_t i = 0; i < ctx.inputs[0].numel(); ++i) {
                                const double x = ctx.inputs[0].get(i);
                                ctx.outputs[0].set(i, x * x * std::cos(x));
                              }
                            },
                        .traits = {.composite = true},
                        .body =
                            [](const Node&, std::span<const Value> in) {
                              return std::vector{in[0] * in[0] * ops::cos(in[0])};
                            }};
  expect_gradients({f64({5})}, [&](std::span<const Value> x) {
    const Value y = x[0].graph().add(composite, {x[0] * 2.0})->output();
    return ops::sum(y * x[0], {});
  });
}

TEST(Gradients, RefuseALossThatIsNoFloatScalar) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {32}});
  const std::vector<Value> wrt{x};
  expect_user_error(ErrorCode::invalid_shape,
                    "gradients \"x\": loss must be a float scalar, got f32[32]\n"
                    "help: reduce it with mean or sum over all axes",
                    [&] { gradients(x, wrt, {}); });
  const Value count = graph.placeholder("count", {DType::i32, {}});
  expect_user_error(ErrorCode::invalid_shape,
                    "gradients \"count\": loss must be a float scalar, got i32[]\n"
                    "help: reduce it with mean or sum over all axes",
                    [&] { gradients(count, wrt, {}); });
}

TEST(Gradients, RefuseValuesThatAreNoFloatOfTheGraph) {
  Graph graph;
  Graph other;
  const Value loss = ops::sum(graph.placeholder("x", f64({2})), {});
  const std::vector<Value> integers{graph.placeholder("labels", {DType::i32, {2}})};
  const std::vector<Value> foreign{other.placeholder("w", f64({2}))};
  expect_user_error(ErrorCode::invalid_shape,
                    "gradients \"labels\": must be with respect to a float, got i32[2]",
                    [&] { gradients(loss, integers, {}); });
  expect_user_error(ErrorCode::invalid_graph,
                    "gradients \"w\": must be a value of the loss's graph, got another graph's",
                    [&] { gradients(loss, foreign, {}); });
}

TEST(Gradients, NameTheOpThatIsNotDifferentiable) {
  Graph graph;
  const Value x = graph.placeholder("x", f64({2}));
  const Value loss = ops::sum(ops::elementwise("floor", {x}, {}), {});
  const std::vector<Value> wrt{x};
  expect_user_error(ErrorCode::invalid_graph,
                    "floor \"floor_0\": is not differentiable, got a gradient to pass on\n"
                    "note: its derivative is zero almost everywhere",
                    [&] { gradients(loss, wrt, {}); });
}

TEST(Gradients, TakeLinearTime) {
  Graph graph;
  const Value x = graph.placeholder("x", f64({}));
  Value y = x;
  for (int i = 0; i < 10000; ++i) y = ops::tanh(y);
  const std::vector<Value> wrt{x};
  gradients(y, wrt);
  EXPECT_LT(graph.size(), 100000u);
}

}  // namespace
}  // namespace ingot
