// Runs single Nodes on the CPU backend, in the layouts that the Graph gives their Values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/base/host_view.h"
#include "ingot/ir/graph.h"

namespace ingot {

struct NodeRun {
  std::vector<HostTensor> outputs;
  std::string kernel;
};

/// The outputs of `node`, whose operands have these logical values. `candidate`: the table's entry
/// to use (empty: the first that supports the Node); an Error with its reason when it refuses.
/// Scratch and outputs hold NaN before the run.
NodeRun run_node(const Node& node, const std::vector<HostTensor>& inputs, const CpuBackend& backend,
                 std::string_view candidate = {});

/// Uniform in [-1, 1), from Philox.
HostTensor random_tensor(const TensorType& type, std::uint64_t seed);
/// One for each operand of the Node.
std::vector<HostTensor> random_operands(const Node& node, std::uint64_t seed = 1);

/// Compares the Node's outputs on the backend with the record's reference kernel, within the op's
/// tolerance; EXPECTs, and returns what the backend computed.
NodeRun expect_matches_reference(const Node& node, const CpuBackend& backend,
                                 std::string_view candidate = {});

}  // namespace ingot
