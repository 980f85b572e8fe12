#include "ingot/engine/freeze.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ingot/base/philox.h"
#include "ingot/engine/compile.h"
#include "ingot/ir/core_ops.h"
#include "ingot/nn/residual.h"
#include "ingot/ops/operators.h"
#include "ingot/train/training_graph.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

constexpr std::int64_t kBatch = 3;
const Shape kImage{3, 10, 10};

Graph predict_graph() {
  nn::Sequential model(SourceLocation{});
  model.add("conv1", nn::Conv2d(3, 16, 3, {.padding = 1, .bias = false}))
      .add("bn1", nn::BatchNorm2d(16))
      .add("relu", nn::ReLU())
      .add("block", nn::BasicBlock(16, 32, 2))
      .add("pool", nn::AdaptiveAvgPool2d(1))
      .add("flatten", nn::Flatten())
      .add("fc", nn::Linear(32, 5));
  return train::build_predict_graph(model, kImage, kBatch);
}

std::vector<float> images() {
  std::vector<float> x(static_cast<std::size_t>(kBatch * kImage.numel()));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 2 * philox_uniform(1, 2, 0, i) - 1;
  return x;
}

/// Statistics and offsets as training leaves them, not as they start.
void randomise_vectors(VariableStore& store) {
  double value = 0.5;
  for (const Segment* segment : store.segments()) {
    if (segment->type.shape.rank() != 1) continue;
    std::vector<double> values;
    while (static_cast<std::int64_t>(values.size()) < segment->type.numel()) {
      values.push_back(value);
      value = value > 1.4 ? value - 0.93 : value + 0.17;
    }
    store.write(segment->name, HostTensor(segment->type, values));
  }
}

HostTensor logits_of(Executable& exe, const std::vector<float>& x) {
  exe.run({{"input", x.data(), x.size() * sizeof(float), {}}});
  return exe.fetched("logits");
}

void expect_close(const HostTensor& got, const HostTensor& want) {
  ASSERT_EQ(got.type(), want.type());
  for (std::int64_t i = 0; i < want.type().numel(); ++i) {
    const double w = want.view().get(i);
    EXPECT_NEAR(got.view().get(i), w, 1e-4 * (1 + std::abs(w)));
  }
}

TEST(Freeze, KeepsTheResultAndFoldsBatchNorms) {
  const Graph graph = predict_graph();
  VariableStore judge_store(make_backend("reference"), 1);
  Executable judge = compile(graph, judge_store);
  randomise_vectors(judge_store);
  const std::vector<float> x = images();
  const HostTensor want = logits_of(judge, x);
  for (const int threads : {1, 2}) {
    VariableStore store(make_backend("cpu", {.threads = threads}), 1);
    Executable exe = compile(*freeze(graph, judge_store), store);
    EXPECT_EQ(exe.lowered().nodes_of(variable_op()).size(), 0u);
    EXPECT_EQ(exe.stats().variable_bytes, 0);
    // Four convolutions with their norms, ReLUs and the shortcut's sum, mean, product, argmax.
    EXPECT_EQ(exe.stats().kernels, 7) << testing::PrintToString(exe.stats().kernel_names);
    EXPECT_EQ(exe.stats().reorders, 0) << testing::PrintToString(exe.stats().kernel_names);
    expect_close(logits_of(exe, x), want);
  }
}

TEST(Freeze, IsASnapshot) {
  const Graph graph = predict_graph();
  VariableStore store(make_backend("cpu"), 1);
  Executable live = compile(graph, store);
  Executable frozen = compile(*freeze(graph, store), store);
  const std::vector<float> x = images();
  const HostTensor before = logits_of(frozen, x);
  expect_close(logits_of(live, x), before);
  const TensorType bias{DType::f32, {5}};
  store.write("fc.bias", HostTensor(bias, std::vector<double>{9, 8, 7, 6, 5}));
  EXPECT_EQ(logits_of(frozen, x), before);
  EXPECT_GT(std::abs(logits_of(live, x).view().get(0) - before.view().get(0)), 1.0);
  Executable again = compile(*freeze(graph, store), store);
  expect_close(logits_of(again, x), logits_of(live, x));
}

TEST(Freeze, LeavesWhatTheGraphAssigns) {
  Graph graph;
  const TensorType type{DType::f32, {2}};
  const Value count = graph.variable("count", type, Initializer::constant(0));
  const Value step = graph.variable("step", type, Initializer::constant(2));
  graph.assign(count, count + step);
  graph.fetch("count", count);
  VariableStore store(make_backend("cpu"), 1);
  const Executable live = compile(graph, store);
  const auto frozen = freeze(graph, store);
  EXPECT_NE(frozen->assign_of("count"), nullptr);
  EXPECT_EQ(&frozen->find("step")->op(), &constant_op());
  Executable exe = compile(*frozen, store);
  exe.run(std::span<const Feed>{});
  exe.run(std::span<const Feed>{});
  EXPECT_EQ(store.read("count").to_doubles(), (std::vector<double>{4, 4}));
}

TEST(Freeze, NeedsTheVariables) {
  const Graph graph = predict_graph();
  const VariableStore store(make_backend("cpu"), 1);
  const std::string text = testing_support::error_of([&] { freeze(graph, store); });
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "variable \"conv1.weight\": must be in the store, got no such name");
}

}  // namespace
}  // namespace ingot
