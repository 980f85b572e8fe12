// Pooling in blocked layouts and in every float dtype; plain f32 is among the records' cases.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ingot/ir/evaluate.h"
#include "ingot/ops/ops.h"
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

/// Rows of windows as long as several vectors, and a rest of every length.
TEST(Pool, WideRowsOfPlainImages) {
  const CpuBackend backend({.threads = 1});
  for (const std::int64_t width : {3, 10, 21, 28, 47, 70}) {
    for (const std::int64_t kernel : {1, 2, 3}) {
      for (const std::int64_t stride : {1, 2, 3}) {
        for (const bool is_max : {true, false}) {
          SCOPED_TRACE(testing::Message() << "width " << width << " kernel " << kernel << " stride "
                                          << stride << (is_max ? " max" : " average"));
          const std::int64_t side = (kernel - 1) / 2;
          const std::array<std::int64_t, 2> window{kernel, kernel};
          const std::array<std::int64_t, 2> step{stride, stride};
          const std::array<std::int64_t, 4> padding{side, 0, side, 0};
          Graph graph;
          const Value x = graph.placeholder("x", {DType::f32, {1, 2, 7, width}});
          const MaxPool2dOptions max{.kernel = window, .stride = step, .padding = padding};
          const AvgPool2dOptions average{
              .kernel = window, .stride = step, .padding = padding, .count_include_pad = false};
          const Value y = is_max ? ops::max_pool2d(x, max) : ops::avg_pool2d(x, average);
          expect_matches_reference(*y.node(), backend);
          const Value g = graph.placeholder("g", y.type());
          const Value dx = is_max
                               ? ops::max_pool2d_grad(x, graph.placeholder("y", y.type()), g, max)
                               : ops::avg_pool2d_grad(g, x.shape(), average);
          expect_matches_reference(*dx.node(), backend);
        }
      }
    }
  }
}

TEST(Pool, TheFirstOfEqualElementsAndNanTakeTheGradient) {
  const CpuBackend backend({.threads = 1});
  for (const std::string_view tag : {"plain", "aBcd8b", "aBcd16b"}) {
    SCOPED_TRACE(tag);
    Graph graph;
    const OpDef& op = *find_op("max_pool2d_grad");
    Node* node = add_case(graph, op, op.cases().front());
    for (const Value& input : node->inputs()) {
      input.node()->set_layout(0, Layout::parse(std::string(tag)));
    }
    node->set_layout(0, Layout::parse(std::string(tag)));
    std::vector<HostTensor> operands = random_operands(*node);
    const HostView x = operands[0].view();
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      const double level = std::floor(2 * x.get(i));
      x.set(i, i % 7 == 3 ? std::numeric_limits<double>::quiet_NaN() : level);
    }
    std::vector<HostView> inputs;
    for (const HostTensor& operand : operands) inputs.push_back(operand.view());
    const auto want = evaluate_node(*node, inputs, nullptr);
    const auto got = run_node(*node, operands, backend).outputs;
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      EXPECT_NEAR(got[0].view().get(i), want[0].view().get(i), 1e-6) << i;
    }
  }
}

}  // namespace
}  // namespace ingot
