// Convolutions against the records' reference kernels, in the layouts that the backend wishes for.
#include <gtest/gtest.h>

#include <algorithm>

#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/ir/op_def.h"
#include "tests/backends/support/conv_cases.h"
#include "tests/backends/support/node_run.h"

namespace ingot {
namespace {

Support supports(const CpuBackend& backend, const Node& node, std::string_view name) {
  for (const KernelCandidate& candidate : backend.kernels().candidates(node.op().name)) {
    if (candidate.name == name) return candidate.supports(node, backend);
  }
  return Support::no("not compiled in");
}

TEST(Conv, EveryCandidateMatchesTheReferenceWithAnyNumberOfThreads) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  for (const ConvCase& conv : conv_cases()) {
    SCOPED_TRACE(conv.name);
    const ConvNodes nodes = make_conv_nodes(conv, DType::f32, &one);
    for (const Node* node : nodes.all()) {
      for (const KernelCandidate& candidate : one.kernels().candidates(node->op().name)) {
        SCOPED_TRACE(candidate.name);
        if (!candidate.supports(*node, one)) continue;
        const NodeRun run = expect_matches_reference(*node, one, candidate.name);
        const NodeRun again = run_node(*node, random_operands(*node), two, candidate.name);
        EXPECT_EQ(run.outputs, again.outputs) << "1 and 2 threads differ";
      }
    }
  }
}

TEST(Conv, DirectTakesEverythingInAnyLayoutAndInDouble) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  for (const ConvCase& conv : conv_cases()) {
    SCOPED_TRACE(conv.name);
    for (const DType dtype : {DType::f32, DType::f64}) {
      const ConvNodes plain = make_conv_nodes(conv, dtype);
      for (const Node* node : plain.all()) {
        const NodeRun run = expect_matches_reference(*node, one, "direct");
        const NodeRun again = run_node(*node, random_operands(*node), two, "direct");
        EXPECT_EQ(run.outputs, again.outputs) << "1 and 2 threads differ";
      }
    }
  }
}

TEST(Conv, OnednnTakesTheUsualCasesOfFullBlocks) {
  const CpuBackend backend({.threads = 1});
  const std::vector<std::string> usual{"64 channels", "batch 1",      "batch 9", "stride 2",
                                       "1x1",         "1x1 stride 2", "groups",  "depthwise"};
  for (const ConvCase& conv : conv_cases()) {
    if (std::find(usual.begin(), usual.end(), conv.name) == usual.end()) continue;
    const ConvNodes nodes = make_conv_nodes(conv, DType::f32, &backend);
    for (const Node* node : nodes.all()) {
      const Support support = supports(backend, *node, "onednn");
      if (support.reason == "not compiled in") GTEST_SKIP();
      EXPECT_TRUE(support) << conv.name << ", " << node->op().name << ": " << support.reason;
    }
  }
}

}  // namespace
}  // namespace ingot
