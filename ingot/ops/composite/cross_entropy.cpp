// Softmax cross-entropy with integer labels, and its gradient. Label smoothing as in Szegedy et al.
// 2016, "Rethinking the Inception architecture".
#include <fmt/core.h>

#include "ingot/ops/composite/softmax_body.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"

namespace ingot {
namespace {

void check_logits_and_labels(const InferContext& ctx) {
  const TensorType& logits = ctx.input(0);
  const TensorType& labels = ctx.input(1);
  const double smoothing = ctx.attr<double>("label_smoothing");
  ctx.require(logits.shape.rank() == 2 && logits.shape[1] > 0, "C1",
              [&] { return logits.to_string(); });
  ctx.require(is_float(logits.dtype), "C2", [&] { return logits.to_string(); });
  ctx.require(labels.dtype == DType::i32 && labels.shape == Shape{logits.shape[0]}, "C3");
  ctx.require(smoothing >= 0 && smoothing <= 1, "C4", [&] { return fmt::format("{}", smoothing); });
}

std::vector<Constraint> constraints() {
  return {{"C1", "logits must be [N,C] with C > 0", "reshape them to one row a sample"},
          {"C2", "logits must be floating point", "convert them with cast"},
          {"C3", "labels must be i32[N]", "one class index for each row of the logits"},
          {"C4", "label_smoothing must be from 0 to 1"},
          {"C5", "labels must be at least 0 and below the number of classes"}};
}

std::vector<AttrSpec> attrs() {
  return {{"label_smoothing", AttrKind::real,
           "weight of the uniform distribution in the target, 0 to 1", AttrValue(0.0)}};
}

std::vector<TensorType> infer_loss(const InferContext& ctx) {
  check_logits_and_labels(ctx);
  return {{accumulate_dtype(ctx.input(0).dtype), {ctx.input(0).shape[0]}}};
}

std::vector<TensorType> infer_grad(const InferContext& ctx) {
  check_logits_and_labels(ctx);
  const TensorType loss{accumulate_dtype(ctx.input(0).dtype), {ctx.input(0).shape[0]}};
  ctx.require(ctx.input(2) == loss, "C6");
  return {ctx.input(0)};
}

std::int64_t classes(const Node& node) { return node.input_type(0).shape[1]; }

std::vector<Value> loss_body(const Node& node, std::span<const Value> inputs) {
  const double smoothing = node.attr<double>("label_smoothing");
  const SoftmaxParts parts = softmax_parts(widen(inputs[0]), 1);
  const Value x = parts.shifted;
  const Value log_total = ops::reshape(ops::log(parts.total, {}), {x.shape()[0]}, {});
  // A selection and not a product: a logit of -inf elsewhere must not give 0 * inf.
  const Value at_label = ops::one_hot(inputs[1], classes(node), DType::boolean, {});
  const Value zero = x.graph().scalar(0.0, x.dtype(), {});
  Value target = ops::sum(ops::select(at_label, x, zero, {}), {1}, false, {});
  if (smoothing > 0) {
    const Value all = ops::sum(x, {1}, false, {});
    target = target * (1.0 - smoothing) + all * (smoothing / static_cast<double>(classes(node)));
  }
  return {log_total - target};
}

std::vector<Value> grad_body(const Node& node, std::span<const Value> inputs) {
  const double smoothing = node.attr<double>("label_smoothing");
  const SoftmaxParts parts = softmax_parts(widen(inputs[0]), 1);
  const DType dtype = parts.exps.dtype();
  Value target = ops::one_hot(inputs[1], classes(node), dtype, {});
  if (smoothing > 0) {
    target = target * (1.0 - smoothing) + smoothing / static_cast<double>(classes(node));
  }
  const Value grad = (parts.exps / parts.total - target) * as_column(inputs[2]);
  return {ops::cast(grad, inputs[0].dtype(), {})};
}

std::vector<Value> gradient(const GradientContext& ctx) {
  return {ctx.node.graph()
              .add(cross_entropy_grad_op(), {ctx.inputs[0], ctx.inputs[1], ctx.grads[0]},
                   {{"label_smoothing", ctx.node.attr<double>("label_smoothing")}}, {}, {})
              ->output(),
          Value{}};
}

CaseInput logits_case(DType dtype, Shape shape) { return {{dtype, shape}, -3, 3}; }

std::vector<OpCase> loss_cases() {
  const CaseInput labels{{DType::i32, {5}}, 0, 6};
  return {{"plain", {logits_case(DType::f32, {5, 7}), labels}, {}},
          {"smoothed", {logits_case(DType::f32, {5, 7}), labels}, {{"label_smoothing", 0.1}}},
          {"half", {logits_case(DType::f16, {5, 7}), labels}, {}},
          {"one class", {logits_case(DType::f32, {3, 1}), {{DType::i32, {3}}, 0, 0}}, {}},
          {"empty", {logits_case(DType::f32, {0, 3}), {{DType::i32, {0}}, 0, 2}}, {}}};
}

std::vector<OpCase> grad_cases() {
  std::vector<OpCase> cases = loss_cases();
  for (OpCase& item : cases) {
    item.inputs.push_back({{DType::f32, {item.inputs[0].type.shape[0]}}});
  }
  return cases;
}

std::vector<BadCase> bad_cases_for(const std::string& name, bool grad) {
  const auto make = [&](std::string title, TensorType logits, TensorType labels, AttrList attrs,
                        std::string_view id, std::string text) {
    std::vector<TensorType> inputs{logits, labels};
    std::string message = name + " \"op\": " + text;
    if (grad) {
      inputs.push_back({DType::f32, {4}});
      if (id == "C3") message += ", f32[4]";
    }
    return BadCase{std::move(title), std::move(inputs), std::move(attrs), id, std::move(message)};
  };
  const TensorType logits{DType::f32, {4, 10}};
  const TensorType labels{DType::i32, {4}};
  return {make("rank 1 logits", {DType::f32, {4}}, labels, {}, "C1",
               "logits must be [N,C] with C > 0, got f32[4]"),
          make("integer logits", {DType::i32, {4, 10}}, labels, {}, "C2",
               "logits must be floating point, got i32[4,10]"),
          make("label dtype", logits, {DType::i64, {4}}, {}, "C3",
               "labels must be i32[N], got f32[4,10], i64[4]"),
          make("label count", logits, {DType::i32, {3}}, {}, "C3",
               "labels must be i32[N], got f32[4,10], i32[3]"),
          make("smoothing", logits, labels, {{"label_smoothing", 1.5}}, "C4",
               "label_smoothing must be from 0 to 1, got 1.5")};
}

std::vector<BadCase> loss_bad_cases() { return bad_cases_for("cross_entropy", false); }

std::vector<BadCase> grad_bad_cases() {
  std::vector<BadCase> bad = bad_cases_for("cross_entropy_grad", true);
  bad.push_back({"gradient's shape",
                 {{DType::f32, {4, 10}}, {DType::i32, {4}}, {DType::f32, {4, 10}}},
                 {},
                 "C6",
                 "cross_entropy_grad \"op\": g must have the loss's type, "
                 "got f32[4,10], i32[4], f32[4,10]"});
  return bad;
}

}  // namespace

const OpDef& cross_entropy_op() {
  static const OpDef def =
      loss_record({.name = "cross_entropy",
                   .summary = "softmax cross-entropy of each row of logits with its integer label",
                   .formula = "loss[n] = -sum over c of q[n,c] log_softmax(logits)[n,c], "
                              "q = (1-s) one_hot(labels) + s/C",
                   .inputs = {{"logits", "[N,C]"}, {"labels", "i32[N], values in 0 ... C-1"}},
                   .outputs = {{"loss", "[N], f32 (f64 for f64 logits)"}},
                   .attrs = attrs(),
                   .constraints = constraints(),
                   .infer = infer_loss,
                   .gradient = {gradient},
                   .body = loss_body,
                   .cases = loss_cases,
                   .bad_cases = loss_bad_cases});
  return def;
}

const OpDef& cross_entropy_grad_op() {
  static const OpDef def = [] {
    OpDef op = loss_record({.name = "cross_entropy_grad",
                            .summary = "gradient of cross_entropy with respect to the logits",
                            .formula = "dlogits[n,c] = (softmax(logits)[n,c] - q[n,c]) g[n]",
                            .inputs = {{"logits", "[N,C]"},
                                       {"labels", "i32[N], values in 0 ... C-1"},
                                       {"g", "[N], the loss's gradient"}},
                            .outputs = {{"dlogits", "[N,C]"}},
                            .attrs = attrs(),
                            .constraints = constraints(),
                            .infer = infer_grad,
                            .gradient = {.not_differentiable = "a loss can be differentiated once"},
                            .body = grad_body,
                            .cases = grad_cases,
                            .bad_cases = grad_bad_cases});
    op.constraints.push_back({"C6", "g must have the loss's type"});
    return op;
  }();
  return def;
}

namespace ops {

Value cross_entropy(Value logits, Value labels, double label_smoothing, SourceLocation loc) {
  return logits.graph()
      .add(cross_entropy_op(), {logits, labels}, {{"label_smoothing", label_smoothing}}, {}, loc)
      ->output();
}

}  // namespace ops
}  // namespace ingot
