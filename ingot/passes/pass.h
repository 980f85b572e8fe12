// What a pass is: a function from Graph to Graph.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
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
  /// What the target made of the user's Graph; set by run_passes.
  StepForm form = StepForm::latency;
  /// Variables whose layout is already fixed (another Executable chose it, or the caller owns the
  /// memory); `layouts` honours it.
  LayoutMap fixed_layouts;
  /// Variables in the caller's memory, which may change between two steps unseen.
  std::set<std::string, std::less<>> external;
  /// The layout of every variable, filled in by `layouts`; a VariableStore fixes them.
  LayoutMap variable_layouts;
  /// Counts of what was done, by "pass.what".
  std::map<std::string, std::int64_t> statistics;
};

using PassFn = std::unique_ptr<Graph> (*)(const Graph& graph, PassContext& context);

struct Pass {
  std::string_view name;
  std::string_view summary;
  /// Null: a step that the engine takes on the final Graph, through run_step().
  PassFn fn = nullptr;
  /// A Graph cannot run without it: it may not be left out.
  bool required = false;
};

}  // namespace ingot
