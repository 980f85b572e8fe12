#include "ingot/train/step_check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/engine/compile.h"
#include "ingot/train/rounding_noise.h"

namespace ingot::train {
namespace {

// Random streams of the changes to variables.
constexpr std::uint64_t kNudgeSeed = 31;
constexpr std::uint64_t kSpreadSeed = 37;
// Draws of noise, and how large it is: that of both steps that are compared.
constexpr int kDraws = 8;
constexpr double kBothRound = 2;
// A result that rounding moves by more than this is zero in exact arithmetic, or chaotic.
constexpr double kMeaningless = 0.1;

/// Writes value(old, uniform in [0, 1)) to each element.
template <class Function>
void change(VariableStore& store, const Segment& segment, std::uint64_t seed, std::uint32_t stream,
            Function value) {
  HostTensor tensor = store.read(segment.name);
  for (std::int64_t i = 0; i < tensor.type().numel(); ++i) {
    const double u = philox_uniform(seed, stream, 0, static_cast<std::uint64_t>(i));
    tensor.view().set(i, value(tensor.view().get(i), u));
  }
  store.write(segment.name, tensor);
}

/// Calls add(a, b, ...) for the elements of tensors of one type.
template <class Function, class... Tensors>
void for_each_element(Function add, const HostTensor& first, const Tensors&... others) {
  const bool floats = first.type().dtype == DType::f32 && ((others.type() == first.type()) && ...);
  const std::int64_t count = first.type().numel();
  const auto walk = [&](const auto&... values) {
    for (std::int64_t i = 0; i < count; ++i) add(values(i)...);
  };
  if (floats) {  // the millions of a deep net
    const auto element = [](const HostTensor& tensor) {
      return [data = tensor.view().as<const float>().data()](std::int64_t i) -> double {
        return data[i];
      };
    };
    walk(element(first), element(others)...);
  } else {
    const auto element = [](const HostTensor& tensor) {
      return [view = tensor.view()](std::int64_t i) { return view.get(i); };
    };
    walk(element(first), element(others)...);
  }
}

}  // namespace

StepOutcome take_first_step(Executable& exe, const VariableStore& store,
                            std::span<const Feed> feeds) {
  exe.step(feeds);
  exe.wait();
  StepOutcome outcome;
  outcome.emplace_back(kLossResult, exe.fetched(kLossResult));
  for (const Segment* segment : store.segments()) {
    if (segment->role != VariableRole::optimizer_state) continue;
    outcome.emplace_back(segment->name, store.read(segment->name));
  }
  return outcome;
}

double nudge_of(Precision precision) noexcept {
  switch (precision) {
    case Precision::f32: return kNudge;
    case Precision::tf32:
    case Precision::f16: return 0x1p-11;
    case Precision::bf16: return 0x1p-8;
  }
  return kNudge;
}

void nudge_parameters(VariableStore& store, double nudge) {
  std::uint32_t stream = 0;
  for (const Segment* segment : store.segments()) {
    ++stream;
    if (segment->role != VariableRole::parameter) continue;
    change(store, *segment, kNudgeSeed, stream,
           [nudge](double w, double u) { return w * (1 + nudge * (2 * u - 1)); });
  }
}

void spread_scales_and_shifts(VariableStore& store) {
  constexpr std::string_view kStatistics = "running_mean";
  std::uint32_t stream = 0;
  for (const Segment* segment : store.segments()) {
    if (!segment->name.ends_with(kStatistics)) continue;
    const std::string layer = segment->name.substr(0, segment->name.size() - kStatistics.size());
    for (const auto& [parameter, low] : {std::pair{"weight", 0.5}, std::pair{"bias", 1.0}}) {
      ++stream;
      if (!store.contains(layer + parameter)) continue;
      change(store, store.segment(layer + parameter), kSpreadSeed, stream,
             [low = low](double, double u) { return low * (1 + u); });
    }
  }
}

L2Distance l2_distance(const HostTensor& got, const HostTensor& want) {
  double squares = 0;
  double norm = 0;
  for_each_element(
      [&](double g, double w) {
        squares += (g - w) * (g - w);
        norm += w * w;
      },
      got, want);
  return {std::sqrt(squares), std::sqrt(norm)};
}

double component(const HostTensor& got, const HostTensor& want, const HostTensor& direction) {
  double product = 0;
  double norm = 0;
  for_each_element(
      [&](double g, double w, double d) {
        product += (g - w) * d;
        norm += d * d;
      },
      got, want, direction);
  return norm == 0 ? 0 : product / std::sqrt(norm);
}

double relative_distance(const HostTensor& got, const HostTensor& want) {
  const L2Distance found = l2_distance(got, want);
  return found.norm == 0 ? found.difference : found.difference / found.norm;
}

StepDifference compare_steps(const StepOutcome& got, const StepOutcome& want,
                             const StepOutcome& nudged, std::span<const StepOutcome> noisy,
                             Precision precision) {
  StepDifference found;
  const double least = nudge_of(precision) / 2;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const auto& [name, value] = want[i];
    const auto has = [&, i = i, &name = name](const StepOutcome& step) {
      return i < step.size() && step[i].first == name;
    };
    if (!has(got) || !has(nudged) || !std::ranges::all_of(noisy, has)) {
      throw Error(ErrorKind::internal, ErrorCode::internal,
                  "compare_steps: the steps must compute the same results, \"" + name +
                      "\" is not in all of them");
    }
    const double distance = relative_distance(got[i].second, value);
    double rounding = std::max(relative_distance(nudged[i].second, value), least);
    if (!(distance <= kRoundings * rounding)) {
      for (const StepOutcome& step : noisy) {
        rounding = std::max(rounding, relative_distance(step[i].second, value));
      }
    }
    if (rounding > kMeaningless) {
      ++found.unchecked;
      continue;
    }
    ++found.checked;
    found.distance = std::max(found.distance, distance);
    double times = distance / rounding;
    if (std::isnan(times)) times = std::numeric_limits<double>::infinity();
    if (times >= found.over_rounding) {
      found.over_rounding = times;
      found.worst = name;
    }
  }
  return found;
}

std::vector<StepOutcome> noisy_first_steps(const Graph& graph, std::shared_ptr<Backend> backend,
                                           const VariableStore& start,
                                           std::span<const Feed> feeds) {
  const std::unique_ptr<Graph> noisy = with_rounding_noise(graph, kBothRound);
  VariableStore store(std::move(backend), 1);
  Executable exe = compile(*noisy, store);
  std::vector<StepOutcome> steps;
  for (int draw = 0; draw < kDraws; ++draw) {
    for (const Segment* segment : start.segments()) {
      store.write(segment->name, start.read(segment->name));
    }
    steps.push_back(take_first_step(exe, store, feeds));
  }
  return steps;
}

void require_agreement(const StepDifference& difference, std::string_view what,
                       Precision precision) {
  const bool low = compute_dtype(precision) != DType::f32;
  const int comparable = low ? 1 : difference.unchecked * 10;
  if (difference.checked < comparable) {
    throw Error(
        ErrorKind::internal, ErrorCode::numerics,
        fmt::format("step check: nine results in ten must be comparable with {}, got {} that "
                    "rounding drowns and {} others",
                    what, difference.unchecked, difference.checked));
  }
  if (difference.over_rounding <= kRoundings) return;
  throw Error(ErrorKind::internal, ErrorCode::numerics,
              fmt::format("step check: the step must agree with {} but for rounding, got {} {:.3g} "
                          "times as far away as rounding takes it",
                          what, difference.worst, difference.over_rounding));
}

}  // namespace ingot::train
