#include "ingot/optim/optimizer.h"

#include <fmt/core.h>

#include <cmath>

#include <string>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"

namespace ingot::optim {
namespace {

void require(bool holds, const std::string& rule, double got) {
  if (holds) return;
  throw user_error(ErrorCode::invalid_argument, fmt::format("{}, got {}", rule, got));
}

Value state(Graph& graph, const Value& parameter, std::string_view suffix) {
  return graph.variable(fmt::format("{}.{}", parameter.node()->name(), suffix), parameter.type(),
                        Initializer::constant(0), VariableRole::optimizer_state, {});
}

void check(const SGD& sgd) {
  require(sgd.momentum >= 0, "SGD: momentum must not be negative", sgd.momentum);
  require(sgd.weight_decay >= 0, "SGD: weight_decay must not be negative", sgd.weight_decay);
  if (sgd.nesterov && (sgd.momentum == 0 || sgd.dampening != 0)) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("SGD: nesterov needs a positive momentum and no dampening, got "
                                 "momentum {} and dampening {}",
                                 sgd.momentum, sgd.dampening));
  }
}

void check(const AdamW& adam) {
  require(adam.beta1 >= 0 && adam.beta1 < 1, "AdamW: beta1 must be in [0, 1)", adam.beta1);
  require(adam.beta2 >= 0 && adam.beta2 < 1, "AdamW: beta2 must be in [0, 1)", adam.beta2);
  require(adam.eps > 0, "AdamW: eps must be positive", adam.eps);
  require(adam.weight_decay >= 0, "AdamW: weight_decay must not be negative", adam.weight_decay);
}

/// The update's text, its scalars and the names of its states.
struct Update {
  std::string text;
  std::vector<std::string> names;  ///< of all operands: scalars, p, g, states
  std::vector<Value> scalars;
  std::vector<std::string_view> states;
};

// PyTorch starts the momentum buffer with the first gradient itself, undamped; with a buffer of
// zeros that is what a dampening of 0 at step 0 gives.
Update make_update(Graph& graph, const SGD& sgd, Value learning_rate, Value step) {
  Update update;
  update.scalars = {learning_rate};
  update.names = {"lr", "p", "g"};
  std::string_view gradient = "g";
  if (sgd.weight_decay != 0) {
    update.text += fmt::format("d = g + {} * p; ", sgd.weight_decay);
    gradient = "d";
  }
  if (sgd.momentum == 0) {
    update.text += fmt::format("p - lr * {}", gradient);
    return update;
  }
  update.states = {"momentum_buffer"};
  std::string damped(gradient);
  if (sgd.dampening != 0) {
    const Value first = ops::elementwise("eq", {step, graph.scalar(0, DType::i64)}, {});
    update.scalars.push_back(
        ops::select(first, graph.scalar(1.0), graph.scalar(1 - sgd.dampening)));
    update.names = {"lr", "damping", "p", "g"};
    damped = fmt::format("damping * {}", gradient);
  }
  update.names.emplace_back("m");
  update.text += fmt::format("n = {} * m + {}; ", sgd.momentum, damped);
  if (sgd.nesterov) {
    update.text += fmt::format("p - lr * ({} + {} * n), n", gradient, sgd.momentum);
  } else {
    update.text += fmt::format("p - lr * n, n");
  }
  return update;
}

Update make_update(Graph& graph, const AdamW& adam, Value learning_rate, Value step) {
  // 1 - beta^t, t counting from 1: through expm1, since 1 - pow cancels for beta2 near 1.
  const Value t = ops::cast(step, DType::f32, {}) + 1.0;
  const auto correction = [&](double beta) {
    if (beta == 0) return graph.scalar(1.0);
    return ops::neg(ops::elementwise("expm1", {t * std::log(beta)}, {}), {});
  };
  Update update;
  update.scalars = {learning_rate, correction(adam.beta1), ops::sqrt(correction(adam.beta2), {})};
  update.names = {"lr", "c1", "c2", "p", "g", "m", "v"};
  update.states = {"exp_avg", "exp_avg_sq"};
  update.text = fmt::format(
      "n = {} * m + {} * g; w = {} * v + {} * g * g; "
      "q = p - lr * {} * p; q - lr / c1 * n / (sqrt(w) / c2 + {}), n, w",
      adam.beta1, 1 - adam.beta1, adam.beta2, 1 - adam.beta2, adam.weight_decay, adam.eps);
  return update;
}

}  // namespace

void check_rule(const Rule& rule) {
  std::visit([](const auto& r) { check(r); }, rule);
}

void apply_update(Graph& graph, const Rule& rule, std::span<const Value> parameters,
                  std::span<const Value> gradients, Value learning_rate, Value step) {
  check_rule(rule);
  if (parameters.empty()) return;
  const Update update =
      std::visit([&](const auto& r) { return make_update(graph, r, learning_rate, step); }, rule);
  std::vector<ops::OptimizerOperand> tensors;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    ops::OptimizerOperand operand{parameters[i], gradients[i], {}};
    for (const std::string_view name : update.states) {
      operand.states.push_back(state(graph, parameters[i], name));
    }
    tensors.push_back(std::move(operand));
  }
  const auto program = ScalarProgram::parse(update.text, update.names);
  const auto results = ops::optimizer_update(program, update.scalars, tensors, {});
  for (std::size_t i = 0; i < results.size(); ++i) {
    graph.assign(parameters[i], results[i].parameter);
    for (std::size_t s = 0; s < results[i].states.size(); ++s) {
      graph.assign(tensors[i].states[s], results[i].states[s]);
    }
  }
}

std::vector<Value> clip_by_global_norm(Graph& graph, std::span<const Value> gradients,
                                       double max_norm, Value* norm) {
  require(max_norm > 0, "clip_by_global_norm: max_norm must be positive", max_norm);
  Value total = graph.scalar(0.0);
  for (const Value& g : gradients) total = total + ops::sum(ops::mul(g, g, {}), {}, false, {});
  const Value length = ops::sqrt(total, {});
  if (norm != nullptr) *norm = length;
  const Value factor =
      ops::minimum(graph.scalar(1.0), max_norm / (length + 1e-6), SourceLocation{});
  std::vector<Value> scaled;
  for (const Value& g : gradients) scaled.push_back(ops::mul(g, factor, {}));
  return scaled;
}

}  // namespace ingot::optim
