// From a Graph to an Executable.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "ingot/engine/executable.h"
#include "ingot/ir/graph.h"
#include "ingot/runtime/variable_store.h"

namespace ingot {

struct CompileOptions {
  /// Passes to leave out, by name (see passes/pass_list.cpp). Errors: unknown name.
  std::vector<std::string> disabled_passes = {};
  /// Check float scalar fetches each step, and on a value that is not finite name the first Node
  /// that produced one. Costs nothing but a look at the scalars.
  bool check_numerics = true;
  /// Entries of the ring of scalar fetches.
  std::size_t ring_capacity = 1024;
  /// Measure each kernel, for kernel_times(); INGOT_TRACE=kernels does so too and prints them.
  bool profile = false;
};

/// Checks, optimises, plans and binds. Every shape, dtype, layout, attribute and memory error
/// surfaces here at the latest. The Graph is not changed.
Executable compile(const Graph& graph, VariableStore& store, const CompileOptions& options = {});

}  // namespace ingot
