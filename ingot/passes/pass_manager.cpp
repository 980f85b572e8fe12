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

}  // namespace

std::unique_ptr<Graph> run_passes(const Graph& graph, std::span<const Pass> passes,
                                  std::span<const std::string> disabled, PassContext& context) {
  check_disabled(passes, disabled);
  verify(graph, "the user's graph");
  auto current = clone_graph(graph);
  for (const Pass& pass : passes) {
    if (std::find(disabled.begin(), disabled.end(), pass.name) != disabled.end()) {
      if (trace_enabled(Channel::passes)) trace(Channel::passes, fmt::format("{}: off", pass.name));
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    const std::size_t before = current->size();
    if (pass.fn != nullptr) {
      current = pass.fn(*current, context);
    } else if (const auto step = context.steps.find(pass.name); step != context.steps.end()) {
      step->second(*current);
    } else {
      continue;
    }
    const double took = milliseconds_since(start);
    verify(*current, pass.name);
    if (trace_enabled(Channel::passes)) {
      trace(Channel::passes,
            fmt::format("{}: {:.2f} ms, {} -> {} nodes, verified in {:.2f} ms", pass.name, took,
                        before, current->size(), milliseconds_since(start) - took));
    }
  }
  return current;
}

}  // namespace ingot
