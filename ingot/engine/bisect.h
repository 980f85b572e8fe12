// Finding the op that goes wrong: a Graph run op by op on a backend and compared with the
// reference.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ingot/ir/graph.h"
#include "ingot/runtime/backend.h"

namespace ingot {

struct BisectOptions {
  /// Seeds the feeds (floats uniform in [-1, 1), integers and bools 0 or 1) and the variables.
  std::uint64_t seed = 0;
};

struct BisectReport {
  bool ok = true;
  int checked = 0;     ///< Nodes that agreed
  std::string node;    ///< the first that differs or fails
  std::string reason;  ///< `conv2d "conv1": differs from the reference, got 0.5 for 0.25 at ...`
};

/// Evaluates the Graph with the records' reference kernels; then runs each Node alone on the
/// backend, on the reference's operands, and compares within the op's tolerance. Stops at the first
/// that differs, or for which the backend has no kernel.
BisectReport bisect(const Graph& graph, const std::shared_ptr<Backend>& backend,
                    const BisectOptions& options = {});

}  // namespace ingot
