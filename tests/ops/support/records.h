// Checks of one op's record on the reference kernels alone.
#pragma once

#include <vector>

#include "ingot/ir/op_def.h"

namespace ingot {

/// The outputs of one Node for the given operands; composites run through their bodies.
std::vector<HostTensor> run_reference(const Node& node, const std::vector<HostTensor>& inputs);

/// Values of `targets` in a Graph whose placeholders and variables take `feeds`, in node order.
std::vector<HostTensor> evaluate(const Graph& graph, const std::vector<Value>& targets,
                                 const std::vector<HostTensor>& feeds);

/// Every case runs and gives what inference promised, its gradient agrees with finite differences
/// in double in a random direction, and every bad case fails with its exact message, citing a
/// constraint whose text it carries.
void check_record(const OpDef& op);

}  // namespace ingot
