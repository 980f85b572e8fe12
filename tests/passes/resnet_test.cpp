// What the pipeline makes of a whole ResNet-18 training step.
#include <gtest/gtest.h>

#include <map>

#include "ingot/ir/op_def.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"
#include "tests/passes/support/fake_target.h"
#include "tests/passes/support/graphs.h"
#include "tests/passes/support/resnet.h"

namespace ingot {
namespace {

using testing_support::expect_equivalent;
using testing_support::FakeTarget;
using testing_support::ResNet18;

struct Counts {
  std::map<std::string, int> ops;
  int large_alone = 0;  ///< elementwise Nodes over activations that are kernels of their own
};

Counts count(const Graph& graph) {
  Counts counts;
  for (const auto& node : graph.nodes()) {
    ++counts.ops[std::string(node->op().name)];
    if (node->op().traits.elementwise && node->output_type().shape.rank() == 4) {
      ++counts.large_alone;
    }
  }
  return counts;
}

std::string text(const Counts& counts) {
  std::string result;
  for (const auto& [op, n] : counts.ops) result += op + " " + std::to_string(n) + ", ";
  return result;
}

TEST(ResNet18, HasNoLooseActivationsAndTwoReordersAtMost) {
  const ResNet18 net(32, 64, 32);
  for (const bool claims : {false, true}) {
    FakeTarget target;
    if (claims) target.claimed = {"batch_norm", "batch_norm_grad"};
    PassContext context(target);
    const auto after = run_passes(net.graph, pass_list(), {}, context);
    const Counts counts = count(*after);
    std::cout << "resnet18 step, batch norm " << (claims ? "claimed: " : "lowered: ")
              << text(counts) << '\n';
    EXPECT_EQ(counts.large_alone, 0);
    EXPECT_LE(context.statistics["layouts.reorders"], 2);
    EXPECT_EQ(context.statistics["layouts.variable_reorders"], 0);
    EXPECT_EQ(counts.ops.contains("relu"), false);
  }
}

TEST(ResNet18, KeepsItsMeaning) {
  const ResNet18 net(2, 8, 8);
  const FakeTarget target;
  PassContext context(target);
  const auto after = run_passes(net.graph, pass_list(), {}, context);
  expect_equivalent(net.graph, *after, 2e-3);
}

}  // namespace
}  // namespace ingot
