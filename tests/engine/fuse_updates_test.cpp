// Steps whose weights' updates run with the products that make their gradients.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ingot/base/philox.h"
#include "ingot/ingot.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"
#include "ingot/train/training_graph.h"

namespace ingot {
namespace {

constexpr std::int64_t kBatch = 32;

Graph training_graph() {
  const auto model = nn::make_model("mlp784", {1, 28, 28, 10});
  return train::build_train_graph(*model, {1, 28, 28}, kBatch, {});
}

int joined_updates(const Executable& exe) {
  int count = 0;
  for (const Node* region : exe.lowered().nodes_of(fused_op())) {
    count += std::ssize(region->body()->nodes_of(optimizer_update_op()));
  }
  return count;
}

struct Trained {
  std::vector<HostTensor> variables;
  int joined = 0;
};

Trained train(int threads, std::vector<std::string> disabled) {
  std::vector<float> images(kBatch * 784);
  for (std::size_t i = 0; i < images.size(); ++i) images[i] = philox_uniform(7, 1, 0, i);
  std::vector<std::int32_t> labels(kBatch);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i % 10);
  VariableStore store(make_backend("cpu", {.threads = threads}), 3);
  Executable exe = compile(training_graph(), store, {.disabled_passes = std::move(disabled)});
  for (int i = 0; i < 5; ++i) {
    exe.step({{"input", images.data(), images.size() * sizeof(float)},
              {"target", labels.data(), labels.size() * sizeof(std::int32_t)}});
  }
  Trained trained;
  for (const Segment* segment : store.segments()) {
    trained.variables.push_back(store.read(segment->name));
  }
  trained.joined = joined_updates(exe);
  return trained;
}

TEST(FuseUpdates, WeightsAreTheSameBitByBit) {
  const Trained joined = train(1, {});
  EXPECT_EQ(joined.joined, 2);
  const Trained apart = train(1, {"fuse_updates"});
  EXPECT_EQ(apart.joined, 0);
  EXPECT_EQ(joined.variables, apart.variables);
  EXPECT_EQ(joined.variables, train(2, {}).variables);
}

TEST(FuseUpdates, GradientsTakeNoMemoryAndVariablesNoCopies) {
  VariableStore store(make_backend("cpu", {.threads = 1}));
  VariableStore other(make_backend("cpu", {.threads = 1}));
  const Executable joined = compile(training_graph(), store);
  const Executable apart = compile(training_graph(), other, {.disabled_passes = {"fuse_updates"}});
  // The first weight's gradient alone has 784 * 128 elements.
  EXPECT_LT(joined.stats().live_peak_bytes, 784 * 128 * 4);
  EXPECT_GT(apart.stats().live_peak_bytes, 784 * 128 * 4);
}

/// One parameter for two layers, and read by the update of the other: `a` is updated by the product
/// with `b` as it was at the start of the step, and the other way about.
TEST(FuseUpdates, EveryReaderSeesTheParametersOfTheStepsStart) {
  const auto run = [](std::vector<std::string> disabled) {
    Graph graph;
    const Value a = graph.variable("a", {DType::f32, {64, 64}}, Initializer::normal(0, 0.1));
    const Value b = graph.variable("b", {DType::f32, {64, 64}}, Initializer::normal(0, 0.1));
    const std::vector<std::string> names{"p", "g"};
    const auto results =
        ops::optimizer_update(ScalarProgram::parse("p - 0.1 * g", names), {},
                              {{{a, ops::matmul(b, b), {}}, {b, ops::matmul(a, a), {}}}});
    graph.assign(a, results[0].parameter);
    graph.assign(b, results[1].parameter);
    graph.fetch("a", a);
    VariableStore store(make_backend("cpu", {.threads = 2}), 3);
    Executable exe = compile(graph, store, {.disabled_passes = std::move(disabled)});
    for (int i = 0; i < 3; ++i) exe.run({});
    return std::pair(std::vector{store.read("a"), store.read("b"), exe.fetched("a")},
                     joined_updates(exe));
  };
  const auto [joined, count] = run({});
  EXPECT_EQ(count, 2);
  EXPECT_EQ(joined, run({"fuse_updates"}).first);
}

}  // namespace
}  // namespace ingot
