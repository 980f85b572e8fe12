// Runs passes in order: timed, verified after each, switchable by name.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "ingot/base/function_ref.h"
#include "ingot/passes/pass.h"

namespace ingot {

/// The Graph after all of `passes` (normally pass_list()) but the disabled ones. The given Graph is
/// verified first and left as it is. Times go to the trace channel `passes`.
/// Errors: a name in `disabled` that is no pass, or one that cannot be left out (user); a pass that
/// breaks the Graph (internal).
std::unique_ptr<Graph> run_passes(const Graph& graph, std::span<const Pass> passes,
                                  std::span<const std::string> disabled, PassContext& context);

/// Takes one of the engine's own steps, which pass_list() names, on the final Graph: timed and
/// verified after like a pass.
void run_step(std::string_view name, const Graph& graph, FunctionRef<void()> step);

}  // namespace ingot
