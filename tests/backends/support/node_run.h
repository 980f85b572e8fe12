// Runs single Nodes on the CPU backend, in the layouts that the Graph gives their Values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ingot/ir/op_def.h"
#include "tests/backends/support/node_harness.h"

namespace ingot {

struct NodeRun {
  std::vector<HostTensor> outputs;
  std::string kernel;
};

/// The outputs of `node`, whose operands have these logical values. `candidate`: the table's entry
/// to use (empty: the first that supports the Node); an Error with its reason when it refuses.
/// Scratch and outputs hold NaN before the run. EXPECTs that padding is zero afterwards and that
/// nothing was written behind the outputs or the scratch.
NodeRun run_node(const Node& node, const std::vector<HostTensor>& inputs, const CpuBackend& backend,
                 std::string_view candidate = {});

/// Values of a record's test case: floats uniform in [low, high), integers in [low, high].
HostTensor case_tensor(const CaseInput& input, std::uint64_t seed);
/// A Node of a record's test case: its operands are the placeholders "x0", "x1", ...
Node* add_case(Graph& graph, const OpDef& op, const OpCase& item);

/// The same for given operands; the tolerance is multiplied by `slack`.
NodeRun expect_matches_reference(const Node& node, const std::vector<HostTensor>& operands,
                                 const CpuBackend& backend, std::string_view candidate = {},
                                 double slack = 1.0);
/// Compares the Node's outputs on the backend with the record's reference kernel, within the op's
/// tolerance; EXPECTs, and returns what the backend computed.
NodeRun expect_matches_reference(const Node& node, const CpuBackend& backend,
                                 std::string_view candidate = {});

}  // namespace ingot
