// Short forms for tests of known answers.
#pragma once

#include <vector>

#include "ingot/ir/evaluate.h"
#include "ingot/ir/graph.h"

namespace ingot::testing_support {

using Doubles = std::vector<double>;

inline Value constant(Graph& graph, const TensorType& type, const Doubles& values) {
  return graph.constant(HostTensor(type, values));
}

/// Fetches `value` as "y" and evaluates the Graph, which has no feeds.
inline Evaluation run(Graph& graph, Value value) {
  graph.fetch("y", value);
  return evaluate(graph, {});
}

inline Doubles values(Graph& graph, Value value) {
  return run(graph, value).fetches.at("y").to_doubles();
}

}  // namespace ingot::testing_support
