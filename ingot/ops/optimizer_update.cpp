#include <fmt/core.h>

#include <algorithm>

#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

/// How the operands are laid out: scalars, then for each tensor p, g, states.
struct Arity {
  std::size_t scalars;
  std::size_t states;
  std::size_t tensors;
  [[nodiscard]] std::size_t p(std::size_t tensor) const { return scalars + tensor * (2 + states); }
};

Arity arity_of(const Node& node) {
  const auto scalars = static_cast<std::size_t>(node.integer("num_scalars"));
  const auto states = static_cast<std::size_t>(node.integer("num_states"));
  return {scalars, states, (node.inputs().size() - scalars) / (2 + states)};
}

std::vector<TensorType> infer(const InferContext& ctx) {
  const std::int64_t num_scalars = ctx.integer("num_scalars");
  const std::int64_t num_states = ctx.integer("num_states");
  const auto& rule = ctx.attr<ScalarProgram>("rule");
  const auto count = static_cast<std::int64_t>(ctx.num_inputs());
  ctx.require(num_scalars >= 0 && num_states >= 0 && count > num_scalars &&
                  (count - num_scalars) % (2 + num_states) == 0,
              "C1", [&] {
                return fmt::format("{} operands with num_scalars {} and num_states {}", count,
                                   num_scalars, num_states);
              });
  ctx.require(rule.num_inputs() == num_scalars + 2 + num_states &&
                  std::ssize(rule.outputs()) == 1 + num_states,
              "C2", [&] {
                return fmt::format(
                    "{} operands and {} results with num_scalars {} and num_states {}",
                    rule.num_inputs(), rule.outputs().size(), num_scalars, num_states);
              });
  const auto scalars = static_cast<std::size_t>(num_scalars);
  const std::size_t group = 2 + static_cast<std::size_t>(num_states);
  const DType dtype = ctx.input(scalars).dtype;
  for (std::size_t i = 0; i < ctx.num_inputs(); ++i) {
    const TensorType& type = ctx.input(i);
    const auto got = [&] { return fmt::format("operand {} of {}", i, ctx.input_types()); };
    const bool is_scalar = i < scalars;
    const bool is_gradient = !is_scalar && (i - scalars) % group == 1;
    ctx.require(is_gradient ? is_float(type.dtype) : is_float(dtype) && type.dtype == dtype, "C3",
                got);
    if (is_scalar) {
      ctx.require(type.shape.rank() == 0, "C4", got);
    } else {
      ctx.require(type.shape == ctx.input(i - (i - scalars) % group).shape, "C5", got);
    }
  }
  std::vector<TensorType> types;
  for (std::size_t i = scalars; i < ctx.num_inputs(); ++i) {
    if ((i - scalars) % group != 1) types.push_back(ctx.input(i));
  }
  return types;
}

void reference(const ReferenceContext& ctx) {
  const Arity arity = arity_of(ctx.node);
  const auto& rule = ctx.node.attr<ScalarProgram>("rule");
  std::vector<double> in(arity.scalars + 2 + arity.states);
  std::vector<double> out(1 + arity.states);
  for (std::size_t i = 0; i < arity.scalars; ++i) in[i] = ctx.inputs[i].get(0);
  for (std::size_t tensor = 0; tensor < arity.tensors; ++tensor) {
    const std::size_t first = arity.p(tensor);
    for (std::int64_t element = 0; element < ctx.inputs[first].numel(); ++element) {
      for (std::size_t i = 0; i < 2 + arity.states; ++i) {
        in[arity.scalars + i] = ctx.inputs[first + i].get(element);
      }
      rule.evaluate(in, out);
      for (std::size_t i = 0; i < out.size(); ++i) {
        ctx.outputs[tensor * out.size() + i].set(element, out[i]);
      }
    }
  }
}

Cost cost(const Node& node) {
  const Arity arity = arity_of(node);
  Cost result = streaming_cost(node, 0);
  double elements = 0;
  for (std::size_t tensor = 0; tensor < arity.tensors; ++tensor) {
    elements += static_cast<double>(node.input_type(arity.p(tensor)).numel());
  }
  result.flops = elements * node.attr<ScalarProgram>("rule").flops();
  return result;
}

// Parameters and states have no batch; elementwise use over a batch is not what it is for.
std::vector<BatchResult> batch(const Node& node, std::span<const int> axes) {
  const bool none = std::all_of(axes.begin(), axes.end(), [](int axis) { return axis < 0; });
  const BatchResult result{none ? BatchKind::none : BatchKind::mixed, -1};
  return std::vector<BatchResult>(node.outputs().size(), result);
}

ScalarProgram momentum_rule() {
  const std::vector<std::string> names{"lr", "mu", "p", "g", "m"};
  return ScalarProgram::parse("v = mu * m + g; p - lr * v, v", names);
}

ScalarProgram plain_rule() {
  const std::vector<std::string> names{"lr", "p", "g"};
  return ScalarProgram::parse("p - lr * g", names);
}

AttrList rule_attrs(ScalarProgram rule, int scalars, int states) {
  return {{"rule", std::move(rule)}, {"num_scalars", scalars}, {"num_states", states}};
}

std::vector<OpCase> cases() {
  const CaseInput scalar{{DType::f32, {}}, 0, 1};
  const CaseInput weight{{DType::f32, {8, 3, 3, 3}}};
  const CaseInput bias{{DType::f32, {8}}};
  const CaseInput half_gradient{{DType::f16, {8}}};
  const CaseInput empty{{DType::f32, {0}}};
  return {{"momentum",
           {scalar, scalar, weight, weight, weight, bias, bias, bias},
           rule_attrs(momentum_rule(), 2, 1),
           false},
          {"plain", {scalar, bias, bias, weight, weight}, rule_attrs(plain_rule(), 1, 0), false},
          {"half gradient", {scalar, bias, half_gradient}, rule_attrs(plain_rule(), 1, 0), false},
          {"empty", {scalar, empty, empty}, rule_attrs(plain_rule(), 1, 0), false}};
}

std::vector<BadCase> bad_cases() {
  const TensorType scalar{DType::f32, {}};
  const TensorType bias{DType::f32, {8}};
  const std::string prefix = "optimizer_update \"op\": ";
  return {{"operand count",
           {scalar, bias, bias, bias},
           rule_attrs(plain_rule(), 1, 0),
           "C1",
           prefix + "operands must be the scalars, then p, g and the states of each tensor, "
                    "got 4 operands with num_scalars 1 and num_states 0"},
          {"rule",
           {scalar, bias, bias, bias},
           rule_attrs(plain_rule(), 1, 1),
           "C2",
           prefix + "rule must go from scalars, p, g, states to p and states, "
                    "got 3 operands and 1 results with num_scalars 1 and num_states 1"},
          {"dtype",
           {{DType::f64, {}}, bias, bias},
           rule_attrs(plain_rule(), 1, 0),
           "C3",
           prefix + "operands but gradients must have one floating-point dtype, "
                    "got operand 0 of f64[], f32[8], f32[8]"},
          {"not a scalar",
           {bias, bias, bias},
           rule_attrs(plain_rule(), 1, 0),
           "C4",
           prefix + "scalars must have rank 0, got operand 0 of f32[8], f32[8], f32[8]"},
          {"shapes",
           {scalar, bias, {DType::f32, {4}}},
           rule_attrs(plain_rule(), 1, 0),
           "C5",
           prefix + "gradient and states must have the parameter's shape, "
                    "got operand 2 of f32[], f32[8], f32[4]"}};
}

}  // namespace

const OpDef& optimizer_update_op() {
  static const OpDef def{
      .name = "optimizer_update",
      .summary = "one update rule applied to every element of a group of parameters",
      .formula = "p', s'... = rule(scalars..., p, g, s...), per element",
      .inputs = {{"operands", "the scalars, then p, g and the states of each tensor", true}},
      .outputs = {{"results", "the new p and states of each tensor", true}},
      .attrs = {{"rule", AttrKind::scalar_program,
                 "from scalars, p, g, states to the new p and states"},
                {"num_scalars", AttrKind::integer, "operands shared by all tensors"},
                {"num_states", AttrKind::integer, "states of each tensor"}},
      .constraints = {{"C1",
                       "operands must be the scalars, then p, g and the states of each tensor"},
                      {"C2", "rule must go from scalars, p, g, states to p and states"},
                      {"C3", "operands but gradients must have one floating-point dtype"},
                      {"C4", "scalars must have rank 0"},
                      {"C5", "gradient and states must have the parameter's shape"}},
      .infer = infer,
      .gradient = {.not_differentiable = "an update ends the step"},
      .reference = reference,
      .batch = batch,
      .cost = cost,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

std::vector<OptimizerResult> optimizer_update(const ScalarProgram& rule,
                                              std::span<const Value> scalars,
                                              std::span<const OptimizerOperand> tensors,
                                              SourceLocation loc) {
  if (tensors.empty()) {
    throw user_error(ErrorCode::invalid_argument,
                     "optimizer_update: must be given a parameter, got none");
  }
  std::vector<Value> operands(scalars.begin(), scalars.end());
  const std::size_t num_states = tensors.front().states.size();
  for (const OptimizerOperand& tensor : tensors) {
    operands.push_back(tensor.parameter);
    operands.push_back(tensor.gradient);
    operands.insert(operands.end(), tensor.states.begin(), tensor.states.end());
  }
  Node* node = tensors.front().parameter.graph().add(
      optimizer_update_op(), std::move(operands),
      {{"rule", rule},
       {"num_scalars", static_cast<std::int64_t>(scalars.size())},
       {"num_states", static_cast<std::int64_t>(num_states)}},
      {}, loc);
  std::vector<OptimizerResult> results(tensors.size());
  int output = 0;
  for (OptimizerResult& result : results) {
    result.parameter = node->output(output++);
    for (std::size_t i = 0; i < num_states; ++i) result.states.push_back(node->output(output++));
  }
  return results;
}

}  // namespace ops
}  // namespace ingot
