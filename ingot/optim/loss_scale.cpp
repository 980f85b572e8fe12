#include "ingot/optim/loss_scale.h"

#include <fmt/core.h>

#include "ingot/base/error.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"

namespace ingot::optim {
namespace {

void require(bool holds, std::string_view rule, double got) {
  if (holds) return;
  throw user_error(ErrorCode::invalid_argument, fmt::format("loss scaling: {}, got {}", rule, got));
}

Value good_steps(Graph& graph) {
  return graph.variable(kGoodSteps, {DType::i32, {}}, Initializer::constant(0),
                        VariableRole::counter, {});
}

}  // namespace

void check_loss_scaling(const LossScaling& scaling) {
  require(scaling.initial >= 1, "the initial scale must be at least 1", scaling.initial);
  require(scaling.growth_factor > 1, "growth_factor must be above 1", scaling.growth_factor);
  require(scaling.backoff_factor > 0 && scaling.backoff_factor < 1,
          "backoff_factor must be between 0 and 1", scaling.backoff_factor);
  require(scaling.growth_interval >= 1, "growth_interval must be at least 1",
          static_cast<double>(scaling.growth_interval));
}

Value loss_scale(Graph& graph, const LossScaling& scaling) {
  check_loss_scaling(scaling);
  return graph.variable(kLossScale, {DType::f32, {}}, Initializer::constant(scaling.initial),
                        VariableRole::counter, {});
}

Value update_count(Graph& graph) {
  return graph.variable(kUpdates, {DType::i64, {}}, Initializer::constant(0), VariableRole::counter,
                        {});
}

void update_loss_scale(Graph& graph, const LossScaling& scaling, Value finite) {
  const Value scale = loss_scale(graph, scaling);
  const Value good = good_steps(graph) + 1.0;
  const auto interval = static_cast<double>(scaling.growth_interval);
  const Value grows = ops::elementwise("eq", {good, graph.scalar(interval, DType::i32)}, {});
  const Value grown = scale * scaling.growth_factor;
  // A scale beyond the range of f32 stays where it is.
  const Value largest = ops::select(ops::elementwise("is_finite", {grown}, {}), grown, scale, {});
  const Value after_good = ops::select(grows, largest, scale, {});
  graph.assign(scale, ops::select(finite, after_good, scale * scaling.backoff_factor, {}));
  const Value zero = graph.scalar(0, DType::i32);
  const Value counted = ops::select(grows, zero, good, {});
  graph.assign(good_steps(graph), ops::select(finite, counted, zero, {}));
  const Value updates = update_count(graph);
  graph.assign(updates, updates + ops::cast(finite, DType::i64, {}));
}

}  // namespace ingot::optim
