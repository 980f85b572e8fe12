// The reference interpreter: a Graph evaluated on the host by the records' reference kernels.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ingot/base/host_view.h"
#include "ingot/base/step_error.h"
#include "ingot/ir/graph.h"

namespace ingot {

/// The outputs of one Node for the given operands (packed, of the operands' types). A Region runs
/// its body, a composite its body's Graph. `error` (may be null) latches the first rule that data
/// broke; inside a body it is reported for `node` itself. Layouts do not matter here.
/// Errors: unsupported for an op without a reference kernel.
std::vector<HostTensor> evaluate_node(const Node& node, std::span<const HostView> inputs,
                                      StepError* error);

/// What one step gives.
struct Evaluation {
  std::map<std::string, HostTensor> fetches;
  /// The variables that the step changes, with their new values. An assign whose predicate is
  /// false changes none, nor does a step with a latched error.
  std::map<std::string, HostTensor> assigned;
  StepError error;
};

using HostTensors = std::map<std::string, HostTensor>;

/// Runs the Graph once. `feeds` has each placeholder's value, `variables` at least each variable's.
/// Errors (user, invalid_feed): a missing or unknown feed, a missing variable, a wrong type.
Evaluation evaluate(const Graph& graph, const HostTensors& feeds,
                    const HostTensors& variables = {});

/// Called with each Node and its outputs, in the Graph's order.
using EvaluationObserver = std::function<void(const Node&, std::span<const HostView>)>;
Evaluation evaluate(const Graph& graph, const HostTensors& feeds, const HostTensors& variables,
                    const EvaluationObserver& observer);

}  // namespace ingot
