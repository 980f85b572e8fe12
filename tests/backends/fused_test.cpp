// Fused Regions, and elementwise Nodes and reductions in blocked layouts, against the reference.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/evaluate.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/node_run.h"
#include "tests/backends/support/regions.h"

namespace ingot {
namespace {

const CpuBackend& backend(int threads) {
  static const CpuBackend one({.threads = 1});
  static const CpuBackend two({.threads = 2});
  return threads == 1 ? one : two;
}

void set_layout(Node& node, const Layout& layout) {
  for (std::size_t i = 0; i < node.outputs().size(); ++i) {
    node.set_layout(static_cast<int>(i), layout);
  }
}

void check(const Node& node, double slack = 4.0) {
  const std::vector<HostTensor> operands = random_operands(node);
  const NodeRun run = expect_matches_reference(node, operands, backend(1), {}, slack);
  EXPECT_EQ(run.outputs, run_node(node, operands, backend(2)).outputs) << "1 and 2 threads differ";
}

const std::vector<Shape> kShapes{{2, 3, 5, 7}, {4, 16, 8, 8},  {3, 20, 9, 9},
                                 {1, 8, 1, 1}, {8, 8, 32, 32}, {2, 24, 33, 20}};
const std::vector<Layout> kLayouts{{}, Layout::channels_blocked(8), Layout::channels_blocked(16)};

template <class Fn>
void for_each_problem(const Fn& fn) {
  for (const Shape& shape : kShapes) {
    for (const Layout& layout : kLayouts) {
      SCOPED_TRACE(shape.to_string() + " " + layout.to_string(4));
      fn(shape, layout);
    }
  }
}

TEST(Fused, BiasAndReluInEveryLayout) {
  for_each_problem([](const Shape& shape, const Layout& layout) {
    Graph graph;
    const Value x = graph.placeholder("x", {DType::f32, shape});
    const Value bias = graph.placeholder("bias", {DType::f32, {shape[1], 1, 1}});
    set_layout(*x.node(), layout);
    Node* node = add_region(graph, {x, bias}, [](Graph&, const auto& a) {
      return std::vector{ops::relu(ops::add(a[0], a[1]))};
    });
    set_layout(*node, layout);
    check(*node);
  });
}

// One operation on the CPU; other comparisons, bounds and alternatives stay as they are.
TEST(Fused, SelectionsLikeARelusGradient) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {6, 40}});
  const Value g = graph.placeholder("g", {DType::f32, {6, 1}});
  Node* node = add_region(graph, {x, g}, [](Graph& body, const auto& a) {
    const Value zero = body.scalar(0.0);
    const Value half = body.scalar(0.5);
    const auto select = [](std::string_view compare, Value y, Value bound, Value b, Value c) {
      return ops::elementwise("select", {ops::elementwise(compare, {y, bound}), b, c});
    };
    const Value full = ops::add(a[1], a[0]);
    return std::vector{select("gt", a[0], zero, full, zero), select("gt", a[0], half, full, zero),
                       select("gt", a[0], zero, full, half), select("lt", a[0], zero, full, zero),
                       ops::add(select("gt", a[0], zero, a[1], zero), full)};
  });
  std::vector<HostTensor> operands = random_operands(*node);
  const HostView view = operands[0].view();
  view.set(3, std::numeric_limits<double>::quiet_NaN());
  view.set(5, -0.0);
  view.set(7, 0.0);
  view.set(9, std::numeric_limits<double>::infinity());
  const auto got = run_node(*node, operands, backend(1)).outputs;
  std::vector<HostView> inputs;
  for (const HostTensor& operand : operands) inputs.push_back(operand.view());
  const auto want = evaluate_node(*node, inputs, nullptr);
  for (std::size_t r = 0; r < want.size(); ++r) {
    for (std::int64_t i = 0; i < want[r].type().numel(); ++i) {
      const double a = got[r].view().get(i);
      const double b = want[r].view().get(i);
      EXPECT_TRUE(a == b || (std::isnan(a) && std::isnan(b))) << r << ": " << a << " for " << b;
    }
  }
}

// One operation on the CPU, too, which rounds as the two do.
TEST(Fused, ProductsAndSumsRoundTwice) {
  Graph graph;
  const std::vector<Value> operands{
      graph.placeholder("a", {DType::f32, {7, 45}}), graph.placeholder("b", {DType::f32, {7, 45}}),
      graph.placeholder("c", {DType::f32, {}}), graph.placeholder("d", {DType::f32, {}})};
  Node* node = add_region(graph, operands, [](Graph& body, const auto& x) {
    const Value product = x[0] * x[1];
    const Value shared = x[1] * x[1];
    return std::vector{product + x[1],     x[1] - product,
                       x[0] * x[1] - x[0], x[2] * x[0] + x[1],
                       x[0] - x[1] * x[2], x[0] * x[1] + x[2],
                       x[0] * x[2] - x[3], x[2] * x[3] + x[0],
                       shared + x[0],      x[0] * x[1] + x[2] * x[0],
                       x[0] + 0.3 * x[1],  body.scalar(1.0) - shared};
  });
  const auto inputs = random_operands(*node);
  const auto got = run_node(*node, inputs, backend(1)).outputs;
  const float c = static_cast<float>(inputs[2].view().get(0));
  const float d = static_cast<float>(inputs[3].view().get(0));
  const auto times = [](float x, float y) {
    const volatile float product = x * y;  // rounded here
    return product;
  };
  for (std::int64_t i = 0; i < 7 * 45; ++i) {
    const auto a = static_cast<float>(inputs[0].view().get(i));
    const auto b = static_cast<float>(inputs[1].view().get(i));
    const std::vector<float> want{
        times(a, b) + b, b - times(a, b),           times(a, b) - a,    times(c, a) + b,
        a - times(b, c), times(a, b) + c,           times(a, c) - d,    times(c, d) + a,
        times(b, b) + a, times(a, b) + times(c, a), a + times(0.3F, b), 1.0F - times(b, b)};
    for (std::size_t r = 0; r < want.size(); ++r) {
      ASSERT_EQ(static_cast<float>(got[r].view().get(i)), want[r]) << r << " at " << i;
    }
  }
}

// exp(0) is 1, so that padding must be cleared; cos of a per-channel operand read with padding.
TEST(Fused, PaddingStaysZero) {
  for_each_problem([](const Shape& shape, const Layout& layout) {
    Graph graph;
    const Value x = graph.placeholder("x", {DType::f32, shape});
    const Value c = graph.placeholder("c", {DType::f32, {1, shape[1], 1, 1}});
    set_layout(*x.node(), layout);
    Node* node = add_region(graph, {x, c}, [](Graph&, const auto& a) {
      return std::vector{ops::add(ops::exp(a[0]), ops::cos(a[1]))};
    });
    set_layout(*node, layout);
    check(*node);
  });
}

// A batch norm's application: two small Nodes feed the large ones, a residual joins.
TEST(Fused, SmallShapesHaveTheirOwnStage) {
  for_each_problem([](const Shape& shape, const Layout& layout) {
    Graph graph;
    const Shape channel{1, shape[1], 1, 1};
    const Value x = graph.placeholder("x", {DType::f32, shape});
    const Value residual = graph.placeholder("residual", {DType::f32, shape});
    const Value mean = graph.placeholder("mean", {DType::f32, channel});
    const Value variance = graph.placeholder("variance", {DType::f32, channel});
    const Value gamma = graph.placeholder("gamma", {DType::f32, channel});
    set_layout(*x.node(), layout);
    set_layout(*residual.node(), layout);
    Node* node =
        add_region(graph, {x, residual, mean, variance, gamma}, [](Graph& body, const auto& a) {
          const Value eps = body.scalar(1.5);
          const Value scale = ops::mul(a[4], ops::rsqrt(ops::add(a[3], eps)));
          const Value y = ops::mul(ops::sub(a[0], a[2]), scale);
          return std::vector{ops::relu(ops::add(y, a[1])), y};
        });
    set_layout(*node, layout);
    check(*node);
  });
}

// A relu's gradient with the sums that a batch norm and a bias need.
TEST(Fused, ReductionsWithAPrologue) {
  for_each_problem([](const Shape& shape, const Layout& layout) {
    Graph graph;
    const Value y = graph.placeholder("y", {DType::f32, shape});
    const Value g = graph.placeholder("g", {DType::f32, shape});
    set_layout(*y.node(), layout);
    set_layout(*g.node(), layout);
    Node* node = add_region(graph, {y, g}, [](Graph& body, const auto& a) {
      const Value zero = body.scalar(0.0);
      const Value d = ops::select(ops::elementwise("gt", {a[0], zero}), a[1], zero);
      return std::vector{d, ops::sum(d, {0, 2, 3}), ops::sum(ops::mul(d, a[0]), {0, 2, 3})};
    });
    node->set_layout(0, layout);
    check(*node, 64);
  });
}

// Operands of megabytes, whose next tiles are fetched ahead: the last tile is a partial one.
TEST(Fused, StreamsOperandsThatFitNoCache) {
  for (const Layout& layout : kLayouts) {
    SCOPED_TRACE(layout.to_string(4));
    Graph graph;
    const Shape shape{3, 16, 81, 121};
    const Value x = graph.placeholder("x", {DType::f32, shape});
    const Value y = graph.placeholder("y", {DType::f32, shape});
    set_layout(*x.node(), layout);
    set_layout(*y.node(), layout);
    Node* node = add_region(graph, {x, y}, [](Graph&, const auto& a) {
      const Value z = ops::mul(ops::add(a[0], a[1]), a[1]);
      return std::vector{z, ops::sum(a[0], {0, 2, 3}), ops::sum(z, {0, 2, 3})};
    });
    node->set_layout(0, layout);
    check(*node, 64);
    const Node& moments = *ops::moments(x, {0, 2, 3}).mean.node();
    check(moments);
  }
}

TEST(Fused, EveryAxisReduced) {
  const std::vector<std::vector<std::int64_t>> axes{
      {}, {0}, {1}, {2}, {3}, {0, 1}, {0, 2}, {2, 3}, {0, 2, 3}, {1, 2, 3}, {0, 1, 3}};
  for_each_problem([&](const Shape& shape, const Layout& layout) {
    for (const auto& reduced : axes) {
      SCOPED_TRACE(to_string(AttrValue(reduced)));
      for (const bool max : {false, true}) {
        Graph graph;
        const Value x = graph.placeholder("x", {DType::f32, shape});
        set_layout(*x.node(), layout);
        const Value y = max ? ops::reduce_max(x, reduced) : ops::sum(x, reduced);
        if (!backend(1).accepts(*y.node(), layout)) continue;
        check(*y.node());
      }
      Graph graph;
      const Value x = graph.placeholder("x", {DType::f32, shape});
      set_layout(*x.node(), layout);
      const Node& moments = *ops::moments(x, reduced).mean.node();
      if (backend(1).accepts(moments, layout)) check(moments);
    }
  });
}

// One pass about a running mean: far from zero, drifting, and with first elements unlike the rest.
TEST(Fused, MomentsOfValuesFarFromZero) {
  const Shape shape{4, 16, 40, 40};
  const std::vector<std::function<double(std::int64_t, double)>> fills{
      [](std::int64_t, double noise) { return 1000.0 + noise; },
      [](std::int64_t pixel, double noise) { return 0.1 * static_cast<double>(pixel) + noise; },
      [](std::int64_t pixel, double noise) { return pixel == 0 ? 1e4 : 0.01 * noise; },
      [](std::int64_t pixel, double noise) { return pixel < 128 ? 1e3 : -50.0 + noise; },
      [](std::int64_t, double) { return 3.0; }};
  for (const Layout& layout : kLayouts) {
    for (std::size_t f = 0; f < fills.size(); ++f) {
      SCOPED_TRACE(layout.to_string(4) + " fill " + std::to_string(f));
      Graph graph;
      const Value x = graph.placeholder("x", {DType::f32, shape});
      set_layout(*x.node(), layout);
      const Node& node = *ops::moments(x, {0, 2, 3}).mean.node();
      std::vector<HostTensor> operands = random_operands(node);
      const HostView view = operands[0].view();
      for (std::int64_t i = 0; i < view.numel(); ++i) {
        const std::int64_t image = i / (16 * 1600);
        view.set(i, fills[f](image * 1600 + i % 1600, view.get(i)));
      }
      const std::vector<HostView> inputs{view};
      const auto want = evaluate_node(node, inputs, nullptr);
      const NodeRun run = run_node(node, operands, backend(1));
      EXPECT_EQ(run.outputs, run_node(node, operands, backend(2)).outputs);
      for (std::int64_t c = 0; c < 16; ++c) {
        const double mean = want[0].view().get(c);
        const double var = want[1].view().get(c);
        EXPECT_NEAR(run.outputs[0].view().get(c), mean, 1e-6 * (std::abs(mean) + std::sqrt(var)));
        EXPECT_NEAR(run.outputs[1].view().get(c), var, 5e-6 * var + 1e-20);
      }
    }
  }
}

TEST(Fused, ReducedResultsInTheLayoutToo) {
  for_each_problem([](const Shape& shape, const Layout& layout) {
    Graph graph;
    const Value x = graph.placeholder("x", {DType::f32, shape});
    set_layout(*x.node(), layout);
    const Value y = ops::mean(x, {2, 3}, true);
    set_layout(*y.node(), layout);
    check(*y.node());
  });
}

/// A loss over rows of logits and its gradient for the gradient `g` of each row's loss.
std::vector<Value> loss_and_gradient(Graph& graph, bool of_labels, double smoothing, Value logits,
                                     Value target, Value g) {
  if (!of_labels) {
    return {ops::cross_entropy_probs(logits, target),
            graph.add(cross_entropy_probs_grad_op(), {logits, target, g})->output()};
  }
  const AttrList attrs{{"label_smoothing", smoothing}};
  return {ops::cross_entropy(logits, target, smoothing),
          graph.add(cross_entropy_grad_op(), {logits, target, g}, attrs)->output()};
}

TEST(Fused, ALossAndItsGradientAreMadeInOnePass) {
  for (const bool of_labels : {true, false}) {
    for (const double smoothing : {0.0, 0.1}) {
      for (const Shape& shape : {Shape{32, 10}, Shape{700, 37}, Shape{1, 2}, Shape{0, 3}}) {
        SCOPED_TRACE(shape.to_string());
        Graph graph;
        const Value logits = graph.placeholder("logits", {DType::f32, shape});
        const Value target = of_labels ? graph.placeholder("target", {DType::i32, {shape[0]}})
                                       : graph.placeholder("target", {DType::f32, shape});
        const Value g = graph.placeholder("g", {DType::f32, {shape[0]}});
        const auto build = [&](Graph& body, const auto& x) {
          return loss_and_gradient(body, of_labels, smoothing, x[0], x[1], x[2]);
        };
        const Node& node = *add_region(graph, {logits, target, g}, build);
        std::vector<HostTensor> operands = random_operands(node);
        for (std::int64_t i = 0; of_labels && i < shape[0]; ++i) {
          operands[1].view().set(i, static_cast<double>(i % shape[1]));
        }
        const NodeRun run = expect_matches_reference(node, operands, backend(1), {}, 4.0);
        EXPECT_EQ(run.kernel, "simd-rows");
        EXPECT_EQ(run.outputs, run_node(node, operands, backend(2)).outputs);
        // The same bits as from two kernels.
        const auto apart = loss_and_gradient(graph, of_labels, smoothing, logits, target, g);
        EXPECT_EQ(run.outputs[0],
                  run_node(*apart[0].node(), {operands[0], operands[1]}, backend(1)).outputs[0]);
        EXPECT_EQ(run.outputs[1], run_node(*apart[1].node(), operands, backend(1)).outputs[0]);
      }
    }
  }
}

/// Why a Value's Node may not join the others' in a Region.
std::string refusal(const std::vector<Value>& region, const Value& consumer) {
  std::vector<const Node*> nodes;
  for (const Value& value : region) nodes.push_back(value.node());
  return backend(1).can_fuse(nodes, *consumer.node(), StepForm::latency).reason;
}

TEST(Fused, ALossJoinsItsOwnGradientAlone) {
  Graph graph;
  const Value logits = graph.placeholder("logits", {DType::f32, {4, 3}});
  const Value others = graph.placeholder("others", {DType::f32, {4, 3}});
  const Value labels = graph.placeholder("labels", {DType::i32, {4}});
  const Value g = graph.placeholder("g", {DType::f32, {4}});
  const auto pair = loss_and_gradient(graph, true, 0.1, logits, labels, g);
  const auto other = loss_and_gradient(graph, true, 0.1, others, labels, g);
  const auto sharp = loss_and_gradient(graph, true, 0.0, logits, labels, g);
  const Value last = loss_and_gradient(graph, true, 0.1, logits, ops::argmax(others), g)[1];
  EXPECT_EQ(refusal({pair[0]}, pair[1]), "");
  EXPECT_EQ(refusal({pair[0]}, other[1]),
            "the loss and the gradient read different logits or targets");
  EXPECT_EQ(refusal({pair[0]}, last), "the loss and the gradient read different logits or targets");
  EXPECT_EQ(refusal({pair[0]}, sharp[1]), "the loss smooths labels by 0.1, the gradient by 0");
  EXPECT_EQ(refusal({ops::relu(logits)}, pair[1]),
            "takes a loss and its gradient, got relu and cross_entropy_grad");
  const std::string alone = "is neither elementwise nor a reduction";
  EXPECT_EQ(refusal({pair[0]}, sharp[0]), "cross_entropy " + alone);
  EXPECT_EQ(refusal({pair[1]}, pair[0]), "cross_entropy " + alone);
  EXPECT_EQ(refusal({ops::relu(logits), pair[0]}, pair[1]), "cross_entropy_grad " + alone);
}

TEST(Fused, RefusesWhatItCannotFuse) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 3, 4, 4}});
  const Value y = ops::relu(x);
  const Value total = ops::sum(y, {1});
  const Value other = ops::sum(y, {0});
  const Value after = ops::exp(total);
  const Value odd = ops::exp(graph.placeholder("odd", {DType::f32, {5}}));
  const Value rows = ops::reshape(x, {2, 48});
  const Value channels = ops::relu(graph.placeholder("channels", {DType::f32, {3, 1, 1}}));
  EXPECT_EQ(refusal({y}, total), "");
  EXPECT_EQ(refusal({y, total}, other), "the reductions differ in shape or axes");
  EXPECT_EQ(refusal({y, total}, after), "it reads the reduction sum");
  EXPECT_EQ(refusal({y}, odd), "[5] does not broadcast to [2,3,4,4]");
  EXPECT_EQ(refusal({odd}, y), "[5] does not broadcast to [2,3,4,4]");
  EXPECT_EQ(refusal({y}, rows), "reshape is neither elementwise nor a reduction");
  EXPECT_EQ(refusal({rows}, y), "reshape is neither elementwise nor a reduction");
  EXPECT_EQ(refusal({channels, y}, ops::sum(channels, {0})),
            "it reduces [3,1,1], less than the region's [2,3,4,4]");
}

TEST(Fused, RegionsHaveBounds) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {4}});
  // Why the last of so many Nodes may not join those before; grow(value) adds one.
  const auto refusal_after = [&](int count, const auto& grow) {
    std::vector<Value> region;
    Value y = x;
    for (int i = 0; i + 1 < count; ++i) region.push_back(y = grow(y));
    return refusal(region, grow(y));
  };
  const auto negate = [](Value y) { return -y; };
  const auto add_same = [&](Value y) { return y + x; };
  const auto add_other = [&](Value y) {
    return y + graph.placeholder("p" + std::to_string(graph.size()), x.type());
  };
  EXPECT_EQ(refusal_after(32, negate), "");
  EXPECT_EQ(refusal_after(33, negate), "takes up to 64 scalar operations, got 66");
  EXPECT_EQ(refusal_after(41, negate), "takes up to 40 Nodes, got 41");
  EXPECT_EQ(refusal_after(21, add_same), "");
  EXPECT_EQ(refusal_after(22, add_same), "takes up to 64 scalar operations, got 66");
  EXPECT_EQ(refusal_after(24, add_other), "takes up to 24 operands, got 25");
}

}  // namespace
}  // namespace ingot
