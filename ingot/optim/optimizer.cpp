#include "ingot/optim/optimizer.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <cmath>

#include <string>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/ops/op_list.h"
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

/// The update's statements and results, its scalars and states with their names.
struct Update {
  std::string statements;
  std::vector<std::string> results;  ///< the new p and states
  std::vector<std::string> scalar_names;
  std::vector<Value> scalars;
  std::vector<std::string> state_names;  ///< in the statements
  std::vector<std::string_view> states;  ///< of the variables
};

// PyTorch starts the momentum buffer with the first gradient itself, undamped; with a buffer of
// zeros that is what a dampening of 0 at step 0 gives.
Update make_update(Graph& graph, const SGD& sgd, Value learning_rate, Value step) {
  Update update;
  update.scalars = {learning_rate};
  update.scalar_names = {"lr"};
  std::string_view gradient = "g";
  if (sgd.weight_decay != 0) {
    update.statements += fmt::format("d = g + {} * p; ", sgd.weight_decay);
    gradient = "d";
  }
  if (sgd.momentum == 0) {
    update.results = {fmt::format("p - lr * {}", gradient)};
    return update;
  }
  update.states = {"momentum_buffer"};
  update.state_names = {"m"};
  std::string damped(gradient);
  if (sgd.dampening != 0) {
    const Value first = ops::elementwise("eq", {step, graph.scalar(0, DType::i64)}, {});
    update.scalars.push_back(
        ops::select(first, graph.scalar(1.0), graph.scalar(1 - sgd.dampening)));
    update.scalar_names.emplace_back("damping");
    damped = fmt::format("damping * {}", gradient);
  }
  update.statements += fmt::format("n = {} * m + {}; ", sgd.momentum, damped);
  update.results = {
      sgd.nesterov ? fmt::format("p - lr * ({} + {} * n)", gradient, sgd.momentum) : "p - lr * n",
      "n"};
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
  update.scalar_names = {"lr", "c1", "c2"};
  update.state_names = {"m", "v"};
  update.states = {"exp_avg", "exp_avg_sq"};
  update.statements =
      fmt::format("n = {} * m + {} * g; w = {} * v + {} * g * g; q = p - lr * {} * p; ", adam.beta1,
                  1 - adam.beta1, adam.beta2, 1 - adam.beta2, adam.weight_decay);
  update.results = {fmt::format("q - lr / c1 * n / (sqrt(w) / c2 + {})", adam.eps), "n", "w"};
  return update;
}

/// Puts the control's operations around the update's.
void apply_control(Update& update, const UpdateControl& control) {
  if (control.factor.valid()) {
    update.scalars.push_back(control.factor);
    update.scalar_names.emplace_back("factor");
    update.statements = "g = factor * gradient; " + update.statements;
  }
  if (control.apply.valid()) {
    update.scalars.push_back(ops::cast(control.apply, DType::f32, {}));
    update.scalar_names.emplace_back("apply");
    for (std::size_t i = 0; i < update.results.size(); ++i) {
      update.results[i] = fmt::format("select(apply > 0, {}, {})", update.results[i],
                                      i == 0 ? "p" : update.state_names[i - 1]);
    }
  }
}

ScalarProgram program_of(const Update& update, bool has_factor) {
  std::vector<std::string> names = update.scalar_names;
  names.insert(names.end(), {"p", has_factor ? "gradient" : "g"});
  names.insert(names.end(), update.state_names.begin(), update.state_names.end());
  return ScalarProgram::parse(
      fmt::format("{}{}", update.statements, fmt::join(update.results, ", ")), names);
}

Value global_norm(Graph& graph, std::span<const Value> gradients) {
  Value total = graph.scalar(0.0);
  for (const Value& g : gradients) total = total + ops::sum(ops::mul(g, g, {}), {}, false, {});
  return ops::sqrt(total, {});
}

Value factor_for_norm(Graph& graph, Value norm, double max_norm) {
  return ops::minimum(graph.scalar(1.0), max_norm / (norm + 1e-6), SourceLocation{});
}

void check_max_norm(double max_norm) {
  require(max_norm > 0, "clip_by_global_norm: max_norm must be positive", max_norm);
}

}  // namespace

void check_rule(const Rule& rule) {
  std::visit([](const auto& r) { check(r); }, rule);
}

Value before_widening(Value gradient) {
  const Node& node = *gradient.node();
  if (&node.op() != &cast_op()) return gradient;
  const DType from = node.input_type(0).dtype;
  const bool exact = gradient.dtype() == DType::f32 && (from == DType::f16 || from == DType::bf16);
  return exact ? node.input(0) : gradient;
}

void apply_update(Graph& graph, const Rule& rule, std::span<const Value> parameters,
                  std::span<const Value> gradients, Value learning_rate, Value step,
                  const UpdateControl& control) {
  check_rule(rule);
  if (parameters.empty()) return;
  Update update =
      std::visit([&](const auto& r) { return make_update(graph, r, learning_rate, step); }, rule);
  apply_control(update, control);
  std::vector<ops::OptimizerOperand> tensors;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    ops::OptimizerOperand operand{parameters[i], before_widening(gradients[i]), {}};
    for (const std::string_view name : update.states) {
      operand.states.push_back(state(graph, parameters[i], name));
    }
    tensors.push_back(std::move(operand));
  }
  const ScalarProgram program = program_of(update, control.factor.valid());
  const auto results = ops::optimizer_update(program, update.scalars, tensors, {});
  for (std::size_t i = 0; i < results.size(); ++i) {
    graph.assign(parameters[i], results[i].parameter);
    for (std::size_t s = 0; s < results[i].states.size(); ++s) {
      graph.assign(tensors[i].states[s], results[i].states[s]);
    }
  }
}

Value clip_factor(Graph& graph, std::span<const Value> gradients, double max_norm, Value factor) {
  check_max_norm(max_norm);
  const Value norm = global_norm(graph, gradients);
  if (!factor.valid()) return factor_for_norm(graph, norm, max_norm);
  return factor * factor_for_norm(graph, norm * factor, max_norm);
}

std::vector<Value> clip_by_global_norm(Graph& graph, std::span<const Value> gradients,
                                       double max_norm, Value* norm) {
  check_max_norm(max_norm);
  const Value length = global_norm(graph, gradients);
  if (norm != nullptr) *norm = length;
  const Value factor = factor_for_norm(graph, length, max_norm);
  std::vector<Value> scaled;
  for (const Value& g : gradients) scaled.push_back(ops::mul(g, factor, {}));
  return scaled;
}

}  // namespace ingot::optim
