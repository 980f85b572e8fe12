#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/reduction.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  std::vector<TensorType> types = infer_reduction(ctx);
  ctx.require(is_float(ctx.input(0).dtype), "C3");
  return types;
}

std::vector<Value> body(const Node& node, std::span<const Value> inputs) {
  const Value x = inputs[0];
  // A sum of f16 may overflow where the mean does not.
  const Value total = ops::sum(ops::cast(x, accumulate_dtype(x.dtype()), {}), node.integers("axes"),
                               node.attr<bool>("keep_dims"), {});
  return {ops::cast(total / static_cast<double>(reduction_length(node)), x.dtype(), {})};
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const auto n = static_cast<double>(reduction_length(ctx.node));
  return {expand_reduced(ctx.node, ctx.grads[0] / n)};
}

std::vector<BatchResult> batch(const Node& node, std::span<const int> input_axes) {
  return reduction_batch(node, input_axes[0], BatchKind::mixed);
}

std::vector<BadCase> bad_cases() {
  return {{"axis twice",
           {{DType::f32, {2, 3}}},
           {{"axes", {1, -1}}},
           "C1",
           "mean \"op\": axes must be distinct and within the rank, got axes [1,-1] of f32[2,3]"},
          {"bool",
           {{DType::boolean, {2}}},
           {{"axes", {0}}},
           "C2",
           "mean \"op\": operand must be a number, got bool[2]"},
          {"integers",
           {{DType::i32, {2, 3}}},
           {{"axes", {0}}},
           "C3",
           "mean \"op\": operand must be floating point, got i32[2,3]"}};
}

}  // namespace

const OpDef& mean_op() {
  static const OpDef def = reduction_record({
      .name = "mean",
      .summary = "mean over axes",
      .formula = "y[o] = sum of x over the reduced axes / their number of elements",
      .constraints = {{"C3", "operand must be floating point", "convert it with cast"}},
      .infer = infer,
      .gradient = {gradient},
      .batch = batch,
      .traits = {.composite = true},
      .body = body,
      .bad_cases = bad_cases,
  });
  return def;
}

namespace ops {

Value mean(Value x, std::vector<std::int64_t> axes, bool keep_dims, SourceLocation loc) {
  return add_reduction(mean_op(), x, std::move(axes), keep_dims, loc);
}

}  // namespace ops
}  // namespace ingot
