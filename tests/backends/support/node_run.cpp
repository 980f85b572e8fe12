#include "tests/backends/support/node_run.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ingot/base/philox.h"
#include "ingot/ir/evaluate.h"
#include "ingot/ir/op_def.h"

namespace ingot {
NodeRun run_node(const Node& node, const std::vector<HostTensor>& inputs, const CpuBackend& backend,
                 std::string_view candidate) {
  NodeHarness harness(node, inputs, backend, candidate);
  harness.run();
  const NodeRun run{harness.outputs(), std::string(harness.kernel().name())};
  EXPECT_TRUE(harness.intact()) << run.kernel << " wrote too far";
  for (std::size_t i = 0; i < run.outputs.size(); ++i) {
    EXPECT_TRUE(harness.padding_is_zero(i)) << run.kernel << ", output " << i;
  }
  return run;
}

HostTensor case_tensor(const CaseInput& input, std::uint64_t seed) {
  HostTensor tensor(input.type);
  const bool real = is_float(input.type.dtype);
  for (std::int64_t i = 0; i < input.type.numel(); ++i) {
    const double unit = philox_to_uniform(philox_word(seed, 0, 0, static_cast<std::uint64_t>(i)));
    const double span = input.high - input.low;
    tensor.view().set(i,
                      real ? input.low + span * unit : input.low + std::floor(unit * (span + 1)));
  }
  return tensor;
}

Node* add_case(Graph& graph, const OpDef& op, const OpCase& item) {
  std::vector<Value> operands;
  for (const CaseInput& input : item.inputs) {
    operands.push_back(graph.placeholder(fmt::format("x{}", operands.size()), input.type));
  }
  return graph.add(op, std::move(operands), item.attrs);
}

NodeRun expect_matches_reference(const Node& node, const CpuBackend& backend,
                                 std::string_view candidate) {
  return expect_matches_reference(node, random_operands(node), backend, candidate);
}

NodeRun expect_matches_reference(const Node& node, const std::vector<HostTensor>& operands,
                                 const CpuBackend& backend, std::string_view candidate,
                                 double slack) {
  NodeRun run = run_node(node, operands, backend, candidate);
  std::vector<HostView> views;
  for (const HostTensor& operand : operands) views.push_back(operand.view());
  const std::vector<HostTensor> want = evaluate_node(node, views, nullptr);
  const std::int64_t length = node.op().reduction_length ? node.op().reduction_length(node) : 1;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const Tolerance tolerance = node_tolerance(node, want[i].type().dtype, length);
    std::int64_t wrong = 0;
    std::string first;
    for (std::int64_t j = 0; j < want[i].type().numel(); ++j) {
      const double w = want[i].view().get(j);
      const double g = run.outputs[i].view().get(j);
      const double bound = slack * (tolerance.absolute + tolerance.relative * std::abs(w));
      if (g == w || std::abs(g - w) <= bound || (std::isnan(g) && std::isnan(w))) continue;
      if (wrong++ == 0) {
        first = "element " + std::to_string(j) + ": " + std::to_string(g) + ", reference " +
                std::to_string(w);
      }
    }
    EXPECT_EQ(wrong, 0) << node.op().name << " by " << run.kernel << ", output " << i << ", "
                        << first;
  }
  return run;
}

}  // namespace ingot
