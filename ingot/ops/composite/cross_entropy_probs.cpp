// Softmax cross-entropy with probabilities as targets, and its gradient.
#include "ingot/ops/composite/softmax_body.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"

namespace ingot {
namespace {

void check(const InferContext& ctx) {
  const TensorType& logits = ctx.input(0);
  ctx.require(logits.shape.rank() == 2 && logits.shape[1] > 0, "C1",
              [&] { return logits.to_string(); });
  ctx.require(is_float(logits.dtype), "C2", [&] { return logits.to_string(); });
  ctx.require(ctx.input(1) == logits, "C3");
}

std::vector<Constraint> constraints() {
  return {{"C1", "logits must be [N,C] with C > 0", "reshape them to one row a sample"},
          {"C2", "logits must be floating point", "convert them with cast"},
          {"C3", "probs must have the logits' type"}};
}

std::vector<TensorType> infer_loss(const InferContext& ctx) {
  check(ctx);
  return {{accumulate_dtype(ctx.input(0).dtype), {ctx.input(0).shape[0]}}};
}

std::vector<TensorType> infer_grad(const InferContext& ctx) {
  check(ctx);
  const TensorType loss{accumulate_dtype(ctx.input(0).dtype), {ctx.input(0).shape[0]}};
  ctx.require(ctx.input(2) == loss, "C4");
  return {ctx.input(0)};
}

std::vector<Value> loss_body(const Node&, std::span<const Value> inputs) {
  const SoftmaxParts parts = softmax_parts(widen(inputs[0]), 1);
  const Value log_probs = parts.shifted - ops::log(parts.total, {});
  return {-ops::sum(widen(inputs[1]) * log_probs, {1}, false, {})};
}

// The targets of a row need not sum to 1.
std::vector<Value> grad_body(const Node&, std::span<const Value> inputs) {
  const SoftmaxParts parts = softmax_parts(widen(inputs[0]), 1);
  const Value probs = widen(inputs[1]);
  const Value predicted = parts.exps / parts.total * ops::sum(probs, {1}, true, {});
  return {ops::cast((predicted - probs) * as_column(inputs[2]), inputs[0].dtype(), {})};
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const Value logits = ctx.inputs[0];
  const Value probs = ctx.inputs[1];
  const Value log_probs = ops::log_softmax(widen(logits), 1, {});
  return {ctx.node.graph()
              .add(cross_entropy_probs_grad_op(), {logits, probs, ctx.grads[0]}, {}, {}, {})
              ->output(),
          ops::cast(-(log_probs * as_column(ctx.grads[0])), probs.dtype(), {})};
}

std::vector<OpCase> loss_cases() {
  const auto make = [](std::string name, DType dtype, Shape shape) {
    return OpCase{std::move(name), {{{dtype, shape}, -3, 3}, {{dtype, shape}, 0, 0.5}}, {}};
  };
  return {make("plain", DType::f32, {5, 7}), make("half", DType::f16, {4, 6}),
          make("one class", DType::f32, {3, 1}), make("empty", DType::f32, {0, 3})};
}

std::vector<OpCase> grad_cases() {
  std::vector<OpCase> cases = loss_cases();
  for (OpCase& item : cases) {
    item.inputs.push_back({{DType::f32, {item.inputs[0].type.shape[0]}}});
  }
  return cases;
}

std::vector<BadCase> loss_bad_cases() {
  const std::string prefix = "cross_entropy_probs \"op\": ";
  return {{"rank 3 logits",
           {{DType::f32, {4, 2, 3}}, {DType::f32, {4, 2, 3}}},
           {},
           "C1",
           prefix + "logits must be [N,C] with C > 0, got f32[4,2,3]"},
          {"integer logits",
           {{DType::i32, {4, 3}}, {DType::i32, {4, 3}}},
           {},
           "C2",
           prefix + "logits must be floating point, got i32[4,3]"},
          {"shapes differ",
           {{DType::f32, {4, 3}}, {DType::f32, {4, 2}}},
           {},
           "C3",
           prefix + "probs must have the logits' type, got f32[4,3], f32[4,2]"}};
}

std::vector<BadCase> grad_bad_cases() {
  const std::string prefix = "cross_entropy_probs_grad \"op\": ";
  const TensorType g{DType::f32, {4}};
  return {{"rank 1 logits",
           {{DType::f32, {4}}, {DType::f32, {4}}, g},
           {},
           "C1",
           prefix + "logits must be [N,C] with C > 0, got f32[4]"},
          {"integer logits",
           {{DType::i32, {4, 3}}, {DType::i32, {4, 3}}, g},
           {},
           "C2",
           prefix + "logits must be floating point, got i32[4,3]"},
          {"dtypes differ",
           {{DType::f32, {4, 3}}, {DType::f16, {4, 3}}, g},
           {},
           "C3",
           prefix + "probs must have the logits' type, got f32[4,3], f16[4,3], f32[4]"},
          {"gradient's shape",
           {{DType::f32, {5, 3}}, {DType::f32, {5, 3}}, g},
           {},
           "C4",
           prefix + "g must have the loss's type, got f32[5,3], f32[5,3], f32[4]"}};
}

}  // namespace

const OpDef& cross_entropy_probs_op() {
  static const OpDef def = loss_record(
      {.name = "cross_entropy_probs",
       .summary = "softmax cross-entropy of each row of logits with a row of probabilities",
       .formula = "loss[n] = -sum over c of probs[n,c] log_softmax(logits)[n,c]",
       .inputs = {{"logits", "[N,C]"}, {"probs", "[N,C]"}},
       .outputs = {{"loss", "[N], f32 (f64 for f64 logits)"}},
       .constraints = constraints(),
       .infer = infer_loss,
       .gradient = {gradient},
       .f32_operands = {0, 1},
       .body = loss_body,
       .cases = loss_cases,
       .bad_cases = loss_bad_cases});
  return def;
}

const OpDef& cross_entropy_probs_grad_op() {
  static const OpDef def = [] {
    OpDef op = loss_record(
        {.name = "cross_entropy_probs_grad",
         .summary = "gradient of cross_entropy_probs with respect to the logits",
         .formula = "dlogits[n,c] = (softmax(logits)[n,c] sum of probs[n,:] - probs[n,c]) g[n]",
         .inputs = {{"logits", "[N,C]"}, {"probs", "[N,C]"}, {"g", "[N], the loss's gradient"}},
         .outputs = {{"dlogits", "[N,C]"}},
         .constraints = constraints(),
         .infer = infer_grad,
         .gradient = {.not_differentiable = "a loss can be differentiated once"},
         .body = grad_body,
         .cases = grad_cases,
         .bad_cases = grad_bad_cases});
    op.constraints.push_back({"C4", "g must have the loss's type"});
    return op;
  }();
  return def;
}

namespace ops {

Value cross_entropy_probs(Value logits, Value probs, SourceLocation loc) {
  return logits.graph().add(cross_entropy_probs_op(), {logits, probs}, {}, {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
