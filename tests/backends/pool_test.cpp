// Pooling in blocked layouts and in every float dtype; plain f32 is among the records' cases.
#include <gtest/gtest.h>

#include "ingot/ops/registry.h"
#include "tests/backends/support/node_run.h"

namespace ingot {
namespace {

TEST(Pool, EveryCaseInEveryLayoutAndDtype) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  for (const std::string_view name :
       {"max_pool2d", "max_pool2d_grad", "avg_pool2d", "avg_pool2d_grad"}) {
    const OpDef& op = *find_op(name);
    for (OpCase item : op.cases()) {
      for (const std::string_view tag : {"plain", "aBcd8b", "aBcd16b"}) {
        for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
          SCOPED_TRACE(std::string(name) + "/" + item.name + " " + std::string(tag) + " " +
                       std::string(dtype_name(dtype)));
          for (CaseInput& input : item.inputs) input.type.dtype = dtype;
          Graph graph;
          Node* node = add_case(graph, op, item);
          const Layout layout = Layout::parse(tag);
          for (const Value& input : node->inputs()) input.node()->set_layout(0, layout);
          node->set_layout(0, layout);
          EXPECT_TRUE(one.accepts(*node, layout));
          const std::vector<HostTensor> operands = random_operands(*node);
          const NodeRun run = expect_matches_reference(*node, operands, one);
          EXPECT_EQ(run.outputs, run_node(*node, operands, two).outputs);
        }
      }
    }
  }
}

}  // namespace
}  // namespace ingot
