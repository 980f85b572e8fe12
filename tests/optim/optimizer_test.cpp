#include "ingot/optim/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "ingot/engine/compile.h"
#include "ingot/ops/operators.h"
#include "tests/support/expect_error.h"

namespace ingot::optim {
namespace {

using testing_support::expect_user_error;

constexpr double kRate = 0.1;
constexpr int kSteps = 6;

double gradient_at(double p, int step) { return 2 * p - 0.3 * step + 0.5; }

/// p after `kSteps` steps from 1 with the gradients above, in f32 by the graph.
double by_graph(const Rule& rule) {
  Graph graph;
  VariableStore store(make_backend("reference"));
  const Value p = graph.variable("p", {DType::f32, {1}}, Initializer::constant(1));
  const Value step =
      graph.variable("step", {DType::i64, {}}, Initializer::constant(0), VariableRole::counter);
  const Value g = 2.0 * p - 0.3 * ops::cast(step, DType::f32) + 0.5;
  apply_update(graph, rule, std::vector{p}, std::vector{g}, graph.scalar(kRate), step);
  graph.assign(step, step + 1.0);
  Executable exe = compile(graph, store);
  for (int i = 0; i < kSteps; ++i) exe.run({});
  return store.read("p").view().get(0);
}

double by_loop(const SGD& sgd) {
  double p = 1;
  double m = 0;
  for (int i = 0; i < kSteps; ++i) {
    double g = gradient_at(p, i) + sgd.weight_decay * p;
    if (sgd.momentum != 0) {
      m = i == 0 ? g : sgd.momentum * m + (1 - sgd.dampening) * g;
      g = sgd.nesterov ? g + sgd.momentum * m : m;
    }
    p -= kRate * g;
  }
  return p;
}

double by_loop(const AdamW& adam) {
  double p = 1;
  double m = 0;
  double v = 0;
  for (int i = 0; i < kSteps; ++i) {
    const double g = gradient_at(p, i);
    p -= kRate * adam.weight_decay * p;
    m = adam.beta1 * m + (1 - adam.beta1) * g;
    v = adam.beta2 * v + (1 - adam.beta2) * g * g;
    const double c1 = 1 - std::pow(adam.beta1, i + 1);
    const double c2 = 1 - std::pow(adam.beta2, i + 1);
    p -= kRate * (m / c1) / (std::sqrt(v / c2) + adam.eps);
  }
  return p;
}

TEST(Optimizer, EqualsALoopInDouble) {
  for (const SGD& sgd :
       {SGD{}, SGD{.weight_decay = 0.1}, SGD{.momentum = 0.9},
        SGD{.momentum = 0.9, .dampening = 0.4}, SGD{.momentum = 0.9, .nesterov = true},
        SGD{.momentum = 0.5, .weight_decay = 0.2, .nesterov = true}}) {
    EXPECT_NEAR(by_graph(sgd), by_loop(sgd), 2e-6) << sgd.momentum << " " << sgd.dampening;
  }
  for (const AdamW& adam : {AdamW{}, AdamW{.weight_decay = 0}, AdamW{.beta1 = 0},
                            AdamW{.beta1 = 0.5, .beta2 = 0.9, .eps = 1e-2, .weight_decay = 0.3}}) {
    EXPECT_NEAR(by_graph(adam), by_loop(adam), 2e-6) << adam.beta1 << " " << adam.eps;
  }
}

TEST(Optimizer, ClipsByTheGlobalNorm) {
  for (const double most : {1.0, 100.0}) {
    Graph graph;
    VariableStore store(make_backend("reference"));
    const Value a = graph.full({DType::f32, {2}}, 3.0);
    const Value b = graph.full({DType::f32, {1}}, 4.0);
    Value norm;
    const auto clipped = clip_by_global_norm(graph, std::vector{a, b}, most, &norm);
    graph.fetch("norm", norm);
    graph.fetch("a", clipped[0]);
    graph.fetch("b", clipped[1]);
    Executable exe = compile(graph, store);
    exe.run({});
    const double length = std::sqrt(9 + 9 + 16.0);
    const double factor = std::min(1.0, most / (length + 1e-6));
    EXPECT_NEAR(exe.fetched("norm").view().get(0), length, 1e-5);
    EXPECT_NEAR(exe.fetched("a").view().get(1), 3 * factor, 1e-6);
    EXPECT_NEAR(exe.fetched("b").view().get(0), 4 * factor, 1e-6);
  }
}

TEST(Optimizer, Errors) {
  const auto fails = [](const Rule& rule, const char* text) {
    expect_user_error(ErrorCode::invalid_argument, text, [&] { by_graph(rule); });
  };
  fails(SGD{.momentum = -0.5}, "SGD: momentum must not be negative, got -0.5");
  fails(SGD{.weight_decay = -1}, "SGD: weight_decay must not be negative, got -1");
  fails(SGD{.nesterov = true},
        "SGD: nesterov needs a positive momentum and no dampening, got momentum 0 and dampening 0");
  fails(AdamW{.beta1 = 1}, "AdamW: beta1 must be in [0, 1), got 1");
  fails(AdamW{.beta2 = -0.1}, "AdamW: beta2 must be in [0, 1), got -0.1");
  fails(AdamW{.eps = 0}, "AdamW: eps must be positive, got 0");
  fails(AdamW{.weight_decay = -1}, "AdamW: weight_decay must not be negative, got -1");
  Graph graph;
  expect_user_error(ErrorCode::invalid_argument,
                    "clip_by_global_norm: max_norm must be positive, got 0",
                    [&] { clip_by_global_norm(graph, {}, 0); });
}

}  // namespace
}  // namespace ingot::optim
