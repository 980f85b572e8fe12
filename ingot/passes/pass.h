// What a pass is: a function from Graph to Graph.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "ingot/ir/graph.h"
#include "ingot/ir/target.h"

namespace ingot {

/// Layouts of variables by name.
using LayoutMap = std::map<std::string, Layout>;

/// What passes read, and what they leave behind besides the Graph.
struct PassContext {
  explicit PassContext(const Target& t) : target(t) {}

  const Target& target;
  /// Variables whose layout is already fixed (another Executable chose it, or the caller owns the
  /// memory); `layouts` honours it.
  LayoutMap fixed_layouts;
  /// The layout of every variable, filled in by `layouts`; a VariableStore fixes them.
  LayoutMap variable_layouts;
  /// Counts of what was done, by "pass.what".
  std::map<std::string, std::int64_t> statistics;
  /// The engine's own steps, by the name under which the pipeline lists them.
  std::map<std::string, std::function<void(Graph&)>, std::less<>> steps;
};

using PassFn = std::unique_ptr<Graph> (*)(const Graph& graph, PassContext& context);

struct Pass {
  std::string_view name;
  std::string_view summary;
  /// Null: a step of the engine's, called through PassContext::steps when it is there.
  PassFn fn = nullptr;
  /// A Graph cannot run without it: it may not be left out.
  bool required = false;
};

}  // namespace ingot
