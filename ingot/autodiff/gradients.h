// Reverse-mode differentiation: a walk over a Graph that appends the gradients' Nodes to it.
#pragma once

#include <span>
#include <vector>

#include "ingot/ir/graph.h"

namespace ingot {

/// d loss / d v for every Value v of `wrt`, of v's type, built by the records' gradients and
/// appended to the Graph. A v that the loss does not depend on gets zeros.
///
/// `loss` is a float of rank 0; the Values of `wrt` are floats of the same Graph. A gradient's
/// Nodes keep the origin of the forward Node they come from; the contributions to one Value are
/// summed in the reverse order of its consumers. Linear in the size of the Graph.
///
/// Errors (user): a loss that is no float scalar, a `wrt` that is no float or of another Graph, an
/// op that is not differentiable between the loss and a Value of `wrt`.
std::vector<Value> gradients(Value loss, std::span<const Value> wrt,
                             SourceLocation loc = SourceLocation::current());

}  // namespace ingot
