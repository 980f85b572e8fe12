#include "ingot/passes/pass_manager.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/base/trace.h"
#include "ingot/ir/verifier.h"

namespace ingot {
namespace {

void check_disabled(std::span<const Pass> passes, std::span<const std::string> disabled) {
  for (const std::string& name : disabled) {
    const auto pass =
        std::find_if(passes.begin(), passes.end(), [&](const Pass& p) { return p.name == name; });
    if (pass == passes.end()) {
      std::vector<std::string> names;
      for (const Pass& p : passes) {
        if (std::find(names.begin(), names.end(), p.name) == names.end()) {
          names.emplace_back(p.name);
        }
      }
      Error error = user_error(
          ErrorCode::invalid_argument,
          fmt::format("disabled_passes \"{}\": must be the name of a pass, got no such pass",
                      name));
      const std::string close = closest_names(name, names);
      if (!close.empty()) error.help("did you mean " + close + "?");
      throw error;
    }
    if (pass->required) {
      throw user_error(
          ErrorCode::invalid_argument,
          fmt::format("disabled_passes \"{}\": must be a pass that can be left out, got a required "
                      "one",
                      name));
    }
  }
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

/// Verifies what a pass or step that began at `start` left, and says how long both took.
void finish(std::string_view name, const Graph& graph, std::size_t nodes_before,
            std::chrono::steady_clock::time_point start) {
  const double took = milliseconds_since(start);
  verify(graph, name);
  if (!trace_enabled(Channel::passes)) return;
  trace(Channel::passes,
        fmt::format("{}: {:.2f} ms, {} -> {} nodes, verified in {:.2f} ms", name, took,
                    nodes_before, graph.size(), milliseconds_since(start) - took));
}

}  // namespace

std::unique_ptr<Graph> run_passes(const Graph& graph, std::span<const Pass> passes,
                                  std::span<const std::string> disabled, PassContext& context) {
  check_disabled(passes, disabled);
  verify(graph, "the user's graph");
  context.form = context.target.step_form(graph);
  auto current = clone_graph(graph);
  for (const Pass& pass : passes) {
    if (std::find(disabled.begin(), disabled.end(), pass.name) != disabled.end()) {
      if (trace_enabled(Channel::passes)) trace(Channel::passes, fmt::format("{}: off", pass.name));
      continue;
    }
    if (pass.fn == nullptr) continue;
    const auto start = std::chrono::steady_clock::now();
    const std::size_t before = current->size();
    current = pass.fn(*current, context);
    finish(pass.name, *current, before, start);
  }
  return current;
}

void run_step(std::string_view name, const Graph& graph, FunctionRef<void()> step) {
  const auto start = std::chrono::steady_clock::now();
  step();
  finish(name, graph, graph.size(), start);
}

}  // namespace ingot
