#include "ingot/optim/schedule.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"

namespace ingot::optim {
namespace {

constexpr double kOneCycleUp = 0.3;
constexpr double kOneCycleStart = 1.0 / 25.0;
constexpr double kOneCycleEnd = 1.0 / 250000.0;

constexpr std::pair<std::string_view, Schedule::Kind> kNames[] = {
    {"constant", Schedule::Kind::constant},
    {"cosine", Schedule::Kind::cosine},
    {"one-cycle", Schedule::Kind::one_cycle},
    {"step", Schedule::Kind::step}};

void check(const Schedule& s) {
  const auto fail = [](std::string_view rule, std::int64_t got) {
    throw user_error(ErrorCode::invalid_argument, fmt::format("schedule: {}, got {}", rule, got));
  };
  const bool needs_total = s.kind == Schedule::Kind::cosine || s.kind == Schedule::Kind::one_cycle;
  if (needs_total && s.total_steps < 1) fail("total_steps must be positive", s.total_steps);
  if (s.kind == Schedule::Kind::step && s.step_size < 1) {
    fail("step_size must be positive", s.step_size);
  }
  if (s.warmup_steps < 0) fail("warmup_steps must not be negative", s.warmup_steps);
}

/// The schedule's formula over doubles or Values: Ops has min, max, cos, pow, floor, choose.
template <typename T, typename Ops>
T formula(const Schedule& s, T step, const Ops& ops) {
  const auto warmup = static_cast<double>(s.warmup_steps);
  const T after = ops.max(step - warmup, 0.0);
  const double length = std::max(1.0, static_cast<double>(s.total_steps - s.warmup_steps));
  // Half a cosine from `from` to `to` as t goes from 0 to 1.
  const auto anneal = [&](double from, double to, T t) {
    return (ops.cos(t * std::numbers::pi) + 1.0) * (0.5 * (from - to)) + to;
  };
  T factor = after * 0.0 + 1.0;
  switch (s.kind) {
    case Schedule::Kind::constant: break;
    case Schedule::Kind::cosine: factor = anneal(1.0, 0.0, ops.min(after / length, 1.0)); break;
    case Schedule::Kind::one_cycle: {
      // OneCycleLR counts its peak at 0.3 * total - 1 and its end at total - 1.
      const double peak = std::max(1.0, kOneCycleUp * length - 1);
      const double down = std::max(1.0, length - 1 - peak);
      const T up_part = anneal(kOneCycleStart, 1.0, ops.min(after / peak, 1.0));
      const T down_part =
          anneal(1.0, kOneCycleEnd, ops.min(ops.max((after - peak) / down, 0.0), 1.0));
      factor = ops.choose_less(after, peak, up_part, down_part);
      break;
    }
    case Schedule::Kind::step:
      factor = ops.power(s.gamma, ops.floor(after / static_cast<double>(s.step_size)));
      break;
  }
  if (s.warmup_steps > 0) factor = factor * ops.min((step + 1.0) / (warmup + 1.0), 1.0);
  return factor * s.base;
}

struct HostOps {
  static double min(double a, double b) { return std::min(a, b); }
  static double max(double a, double b) { return std::max(a, b); }
  static double cos(double a) { return std::cos(a); }
  static double floor(double a) { return std::floor(a); }
  static double power(double base, double e) { return std::pow(base, e); }
  static double choose_less(double a, double b, double yes, double no) { return a < b ? yes : no; }
};

struct GraphOps {
  Graph& graph;
  [[nodiscard]] Value min(Value a, double b) const { return ops::minimum(a, graph.scalar(b), {}); }
  [[nodiscard]] Value max(Value a, double b) const { return ops::maximum(a, graph.scalar(b), {}); }
  [[nodiscard]] Value cos(Value a) const { return ops::cos(a, {}); }
  [[nodiscard]] Value floor(Value a) const { return ops::elementwise("floor", {a}, {}); }
  [[nodiscard]] Value power(double base, Value e) const {
    return ops::pow(graph.scalar(base), e, {});
  }
  [[nodiscard]] Value choose_less(Value a, double b, Value yes, Value no) const {
    return ops::select(ops::elementwise("lt", {a, graph.scalar(b)}, {}), yes, no, {});
  }
};

}  // namespace

Value learning_rate(Graph& graph, const Schedule& schedule, Value step) {
  check(schedule);
  if (schedule.kind == Schedule::Kind::constant && schedule.warmup_steps == 0) {
    return graph.scalar(schedule.base);
  }
  return formula(schedule, ops::cast(step, DType::f32, {}), GraphOps{graph});
}

double learning_rate_at(const Schedule& schedule, std::int64_t step) {
  check(schedule);
  return formula(schedule, static_cast<double>(step), HostOps{});
}

Schedule::Kind parse_schedule(std::string_view name) {
  std::string list;
  for (const auto& [known, kind] : kNames) {
    if (known == name) return kind;
    list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", known);
  }
  throw user_error(ErrorCode::invalid_argument,
                   fmt::format("schedule \"{}\": must be one of {}, got no such name", name, list));
}

}  // namespace ingot::optim
