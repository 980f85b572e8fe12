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
      : feeds_(side.feeds),
        store_(side.backend, seed),
        executable_(compile(graph, store_, side.compile)) {}

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

/// One result of one step. Components are along results whose rounding errors are independent of
/// what is looked at: otherwise those would show as if the result were scaled.
struct Compared {
  L2Distance tested;
  double scale = 1;         ///< what rounding errors grow with
  double noise = 0;         ///< the furthest that a draw of noise takes it
  double tested_along = 0;  ///< the error's component along noisy results, their sum
  double noise_along = 0;   ///< the greatest component of noise along the tested result
  int draws = 0;            ///< of noise
};
struct Result {
  std::string name;
  std::vector<Compared> steps = {};
};

/// What is no number is as large as can be.
void raise(double& greatest, double value) {
  greatest =
      std::max(greatest, std::isnan(value) ? std::numeric_limits<double>::infinity() : value);
}

/// Of a step with these results: for the loss itself, for every gradient the norm of all. One that
/// cancels out (of a shift that a norm behind it takes away) is as wrong as it would be otherwise.
void set_scales(std::vector<Result>& all) {
  double squares = 0;
  for (const Result& result : all) {
    if (result.name == kLossResult) continue;
    const double norm = result.steps.back().tested.norm;
    squares += norm * norm;
  }
  for (Result& result : all) {
    Compared& now = result.steps.back();
    now.scale = result.name == kLossResult ? now.tested.norm : std::sqrt(squares);
    if (now.scale == 0) now.scale = 1;
  }
}

void add(std::vector<Result>& all, const StepOutcome& tested, const StepOutcome& want) {
  all.resize(want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    all[i].name = want[i].first;
    all[i].steps.push_back({l2_distance(tested[i].second, want[i].second)});
  }
  set_scales(all);
}

void add_noise(std::vector<Result>& all, const StepOutcome& noisy, const StepOutcome& tested,
               const StepOutcome& want) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    const HostTensor& right = want[i].second;
    Compared& now = all[i].steps.back();
    raise(now.noise, l2_distance(noisy[i].second, right).difference);
    now.tested_along += component(tested[i].second, right, noisy[i].second);
    raise(now.noise_along, std::abs(component(noisy[i].second, right, tested[i].second)));
    ++now.draws;
  }
}

/// The furthest that any draw in any step took it, as a part of what rounding errors grow with.
double rounding_of(const Result& result) {
  double rounding = 0;
  for (const Compared& step : result.steps) raise(rounding, step.noise / step.scale);
  return rounding;
}

/// A bound above the result itself says nothing.
bool is_drowned(const Compared& step, double bound) {
  return bound > kBlindBound * step.tested.norm && std::isfinite(step.tested.difference);
}

/// Whether the last step has a result that no noise so far explains.
bool is_unexplained(const std::vector<Result>& all) {
  return std::ranges::any_of(all, [](const Result& result) {
    const Compared& last = result.steps.back();
    const double bound = rounding_of(result) * last.scale;
    return !(last.tested.difference <= bound) && !is_drowned(last, bound);
  });
}

void judge_result(SideBySide& found, const Result& result) {
  const double rounding = rounding_of(result);
  for (std::size_t i = 0; i < result.steps.size(); ++i) {
    const Compared& step = result.steps[i];
    const double bound = rounding * step.scale;
    const double away = step.tested.difference;
    if (is_drowned(step, bound)) {
      ++found.drowned;
      continue;
    }
    ++found.results;
    if (step.tested.norm > 0) raise(found.distance, away / step.tested.norm);
    // Equal where rounding changes nothing: at the bound of zero.
    const double part = away == 0 ? 0 : away / bound;
    if (part < found.over_bound) continue;
    raise(found.over_bound, part);
    found.worst = result.name;
    found.worst_step = static_cast<int>(i);
  }
}

/// What the result's errors come to along the judge's, over all steps.
void judge_scale(SideBySide& found, const Result& result) {
  double along = 0;
  double noise = 0;
  double squares = 0;
  for (const Compared& step : result.steps) {
    along += step.tested_along / std::max(step.draws, 1) * step.tested.norm;
    noise += step.noise_along * step.tested.norm;
    squares += step.tested.norm * step.tested.norm;
  }
  const double part = along == 0 ? 0 : std::abs(along) / noise;
  if (part < found.over_scale_bound) return;
  raise(found.over_scale_bound, part);
  found.scaled = squares == 0 ? 0 : along / squares;
  found.worst_scale = result.name;
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
    if (static_cast<double>(i + 1) < kFreeShare * static_cast<double>(want.size())) continue;
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
  std::vector<Result> all;
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
    add(all, got, want);
    for (int draw = 0; draw < draws + kMoreDraws; ++draw) {
      if (draw >= draws && (found.more_draws == kMostDraws || !is_unexplained(all))) break;
      if (draw >= draws) ++found.more_draws;
      noisy.start_from(start);
      const StepOutcome moved = noisy.first_step(number - 1);
      // Noise alone may overflow, too.
      if (noisy.updates() == there.updates()) add_noise(all, moved, got, want);
    }
    ++found.steps;
  }
  for (const Result& result : all) {
    judge_result(found, result);
    judge_scale(found, result);
  }
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
  if (!(found.over_scale_bound <= 1)) {
    refuse(
        fmt::format("side by side: over all steps no result may be scaled by more than rounding "
                    "explains, got {} {:.3g} % away from that of {}, {:.3g} times its bound",
                    found.worst_scale, 100 * found.scaled, what, found.over_scale_bound));
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
