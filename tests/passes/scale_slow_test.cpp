// Passes take linear time.
#include <gtest/gtest.h>

#include <ctime>

#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"
#include "tests/passes/support/fake_target.h"
#include "tests/passes/support/graphs.h"
#include "tests/support/sanitized.h"

namespace ingot {
namespace {

using testing_support::FakeTarget;

// The rule holds for the build that users get; elsewhere the test still finds what is quadratic.
#ifdef NDEBUG
constexpr double kMaxSeconds = testing_support::kSanitized ? 60.0 : 3.0;
#else
constexpr double kMaxSeconds = 60.0;
#endif

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// Residual blocks of products and activations, with a scalar that every block reads.
std::unique_ptr<Graph> deep_net(int nodes) {
  auto graph = std::make_unique<Graph>();
  Value x = graph->placeholder("x", {DType::f32, {8, 8}});
  const Value scale = ops::exp(graph->placeholder("scale", {DType::f32, {}}));
  const Value w = graph->variable("w", {DType::f32, {8, 8}}, Initializer::constant(0.1));
  while (static_cast<int>(graph->size()) < nodes) {
    const Value h = ops::relu(ops::matmul(x, w) + ops::sum(x, {1}, true));
    x = ops::tanh(h * scale + x) + graph->scalar(0) + ops::exp(x) - ops::exp(x);
  }
  graph->fetch("y", x);
  return graph;
}

TEST(Scale, FiftyThousandNodesTakeSeconds) {
  const FakeTarget target;
  const auto deep = deep_net(50000);
  const auto random = testing_support::random_graph(7, 40000);
  for (const Graph* graph : {deep.get(), random.get()}) {
    PassContext context(target);
    const double start = processor_seconds();
    run_passes(*graph, pass_list(), {}, context);
    const double seconds = processor_seconds() - start;
    std::cout << graph->size() << " nodes: " << seconds << " s\n";
    EXPECT_LT(seconds, kMaxSeconds);
  }
}

}  // namespace
}  // namespace ingot
