#include "ingot/backends/cuda/libraries/plan_choice.h"

#include <fmt/core.h>

#include "ingot/base/trace.h"

namespace ingot::cuda {
namespace {

/// A way must take less than this share of the first one's time to replace it.
constexpr double kClearlyFaster = 0.98;

}  // namespace

void trace_plan(std::string_view problem, const PlannedCall& call) {
  if (!trace_enabled(Channel::dispatch)) return;
  trace(Channel::dispatch,
        fmt::format("{}: {}, {} bytes of workspace", problem, call.name(), call.workspace_bytes()));
}

std::size_t fastest(std::string_view problem, std::span<const std::string> names, Tune tune,
                    FunctionRef<double(std::size_t, int)> seconds) {
  const int repeats = tune == Tune::full ? 7 : 3;
  std::size_t winner = 0;
  double first = 0;
  double best = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double took = seconds(i, repeats);
    if (trace_enabled(Channel::dispatch)) {
      trace(Channel::dispatch,
            fmt::format("{}: {} takes {:.1f} us", problem, names[i], 1e6 * took));
    }
    if (i == 0) first = best = took;
    if (took < best && took < kClearlyFaster * first) {
      winner = i;
      best = took;
    }
  }
  return winner;
}

}  // namespace ingot::cuda
