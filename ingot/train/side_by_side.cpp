#include "ingot/train/side_by_side.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "ingot/base/error.h"
#include "ingot/engine/compile.h"
#include "ingot/optim/loss_scale.h"
#include "ingot/runtime/variable_store.h"
#include "ingot/train/rounding_noise.h"
#include "ingot/train/step_check.h"

namespace ingot::train {
namespace {

/// Every variable's value.
using Variables = std::vector<std::pair<std::string, HostTensor>>;

/// Those of a store, but no memory of gradients.
Variables at_rest(const VariableStore& store) {
  Variables variables;
  for (const Segment* segment : store.segments()) {
    variables.emplace_back(segment->name, segment->role == VariableRole::optimizer_state
                                              ? HostTensor(segment->type)
                                              : store.read(segment->name));
  }
  return variables;
}

std::int64_t parameters_of(const VariableStore& store) {
  std::int64_t count = 0;
  for (const Segment* segment : store.segments()) {
    if (segment->role == VariableRole::parameter) count += segment->type.numel();
  }
  return count;
}

/// One Executable in training.
class Trainee {
 public:
  Trainee(const Side& side, const Graph& graph, std::uint64_t seed)
      : feeds_(side.feeds), store_(side.backend, seed), executable_(compile(graph, store_)) {}

  [[nodiscard]] VariableStore& store() { return store_; }
  StepOutcome first_step(std::int64_t number) {
    return take_first_step(executable_, store_, feeds_(number));
  }
  void start_from(const Variables& variables) {
    for (const auto& [name, value] : variables) store_.write(name, value);
  }
  /// Updates that were applied; nothing where every step's is.
  [[nodiscard]] std::optional<std::int64_t> updates() const {
    if (!store_.contains(optim::kUpdates)) return std::nullopt;
    return store_.read(optim::kUpdates).view().get_int(0);
  }
  std::vector<double> losses(int count) {
    while (executable_.losses().pop()) continue;
    for (int i = 0; i < count; ++i) executable_.step(feeds_(i));
    executable_.wait();
    std::vector<double> losses;
    const auto at = static_cast<std::size_t>(executable_.losses().index_of("loss"));
    while (const auto entry = executable_.losses().pop()) losses.push_back(entry->values[at]);
    return losses;
  }

 private:
  std::function<std::vector<Feed>(std::int64_t)> feeds_;
  VariableStore store_;
  Executable executable_;
};

/// One result: how far away it was in each step, and how far noise takes it at most.
struct Distances {
  std::string name;
  std::vector<double> tested;
  double noise = 0;
};

/// What is no number is as large as can be.
void raise(double& greatest, double value) {
  greatest =
      std::max(greatest, std::isnan(value) ? std::numeric_limits<double>::infinity() : value);
}

void add_noise(std::vector<Distances>& all, const StepOutcome& noisy, const StepOutcome& want) {
  all.resize(want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    raise(all[i].noise, relative_distance(noisy[i].second, want[i].second));
  }
}

void add(std::vector<Distances>& all, const StepOutcome& tested, const StepOutcome& want) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    all[i].name = want[i].first;
    all[i].tested.push_back(relative_distance(tested[i].second, want[i].second));
  }
}

void judge_all(SideBySide& found, const std::vector<Distances>& all) {
  for (const Distances& result : all) {
    const double bound = result.noise;
    for (std::size_t step = 0; step < result.tested.size(); ++step) {
      if (bound > kBlindBound && std::isfinite(result.tested[step])) {
        ++found.drowned;
        continue;
      }
      ++found.results;
      raise(found.distance, result.tested[step]);
      // Equal where rounding changes nothing: at the bound of zero.
      const double part = result.tested[step] == 0 ? 0 : result.tested[step] / bound;
      if (part < found.over_bound) continue;
      raise(found.over_bound, part);
      found.worst = result.name;
      found.worst_step = static_cast<int>(step);
    }
  }
}

void run_free(SideBySide& found, Trainee& tested, Trainee& judge, const Variables& start,
              int steps) {
  tested.start_from(start);
  judge.start_from(start);
  const std::vector<double> got = tested.losses(steps);
  const std::vector<double> want = judge.losses(steps);
  double got_sum = 0;
  double want_sum = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    got_sum += got.at(i);
    want_sum += want[i];
    raise(found.free_single, std::abs(got[i] - want[i]) / want[i]);
    raise(found.free_mean, std::abs(got_sum - want_sum) / want_sum);
  }
  found.free_steps = static_cast<int>(want.size());
  found.first_loss = want.front();
  found.last_loss = want.back();
}

}  // namespace

SideBySide train_side_by_side(const Side& tested, const Side& judge,
                              const SideBySideOptions& options) {
  const std::unique_ptr<Graph> noisy_graph = with_rounding_noise(judge.graph, kNoises);
  Trainee here(tested, tested.graph, options.seed);
  Trainee there(judge, judge.graph, options.seed);
  const Side cpu{*noisy_graph, make_backend("cpu", {.threads = judge.backend->threads()}),
                 judge.feeds};
  Trainee noisy(cpu, cpu.graph, options.seed);
  const Variables initial = at_rest(there.store());
  spread_scales_and_shifts(there.store());
  SideBySide found;
  std::vector<Distances> all;
  std::int64_t number = 0;
  const int draws = parameters_of(there.store()) <= kSmallNet ? kNoiseDraws : 1;
  while (found.steps < options.steps) {
    const Variables start = at_rest(there.store());
    here.start_from(start);
    there.start_from(start);
    const std::optional<std::int64_t> before = there.updates();
    const StepOutcome got = here.first_step(number);
    const StepOutcome want = there.first_step(number);
    ++number;
    if (here.updates() != there.updates()) {
      throw Error(
          ErrorKind::internal, ErrorCode::numerics,
          fmt::format("side by side: both must skip the same steps, got one that did step {}",
                      number - 1));
    }
    if (before.has_value() && there.updates() == before) {
      ++found.skipped;
      continue;
    }
    for (int draw = 0; draw < draws; ++draw) {
      noisy.start_from(start);
      const StepOutcome moved = noisy.first_step(number - 1);
      // Noise alone may overflow, too.
      if (noisy.updates() == there.updates()) add_noise(all, moved, want);
    }
    add(all, got, want);
    ++found.steps;
  }
  judge_all(found, all);
  run_free(found, here, there, initial, options.free_steps);
  return found;
}

void require_side_by_side(const SideBySide& found, std::string_view what, Precision precision) {
  const auto refuse = [](std::string text) {
    throw Error(ErrorKind::internal, ErrorCode::numerics, std::move(text));
  };
  if (!(found.over_bound <= 1)) {
    refuse(
        fmt::format("side by side: every result must be within its bound of {}, got {} of step "
                    "{} {:.3g} times as far away",
                    what, found.worst, found.worst_step, found.over_bound));
  }
  const int all = found.results + found.drowned;
  const int least = precision == Precision::bf16 ? 1 : 9;
  if (10 * found.results < least * all) {
    refuse(
        fmt::format("side by side: {} result(s) in ten must be comparable with {}, got {} of {} "
                    "that rounding does not drown",
                    least, what, found.results, all));
  }
  if (!(found.free_mean <= kFreeLimit)) {
    refuse(fmt::format("side by side: mean losses must be within {:.0f} % of {}, got {:.3g} %",
                       100 * kFreeLimit, what, 100 * found.free_mean));
  }
}

}  // namespace ingot::train
