#include <fmt/core.h>

#include <cmath>

#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"
#include "ingot/ops/reduction.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  std::vector<TensorType> types = infer_reduction(ctx);
  ctx.require(ctx.input(0).numel() > 0 || types[0].numel() == 0, "C3", [&] {
    return fmt::format("axes {} of {}", to_string(AttrValue(ctx.integers("axes"))),
                       ctx.input_types());
  });
  return types;
}

void reference(const ReferenceContext& ctx) {
  const HostView& x = ctx.inputs[0];
  const HostView& y = ctx.outputs[0];
  std::vector<bool> seen(static_cast<std::size_t>(y.numel()), false);
  for_each_reduced(ctx.node, [&](std::int64_t in, std::int64_t out) {
    const auto slot = static_cast<std::size_t>(out);
    const double value = x.get(in);
    if (!seen[slot] || value > y.get(out) || std::isnan(value)) copy_element(x, in, y, out);
    seen[slot] = true;
  });
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const Value x = ctx.inputs[0];
  const Value top = ops::elementwise("eq", {x, expand_reduced(ctx.node, ctx.outputs[0])}, {});
  const Value mask = ops::cast(top, x.dtype(), {});
  const Value count =
      ops::sum(mask, ctx.node.integers("axes"), ctx.node.attr<bool>("keep_dims"), {});
  return {ops::mul(mask, expand_reduced(ctx.node, ops::div(ctx.grads[0], count, {})), {})};
}

std::vector<BatchResult> batch(const Node& node, std::span<const int> input_axes) {
  return reduction_batch(node, input_axes[0], BatchKind::mixed);
}

std::vector<BadCase> bad_cases() {
  return {
      {"axis out of range",
       {{DType::f32, {2, 3}}},
       {{"axes", {2}}},
       "C1",
       "reduce_max \"op\": axes must be distinct and within the rank, got axes [2] of f32[2,3]"},
      {"bool",
       {{DType::boolean, {2}}},
       {{"axes", {0}}},
       "C2",
       "reduce_max \"op\": operand must be a number, got bool[2]"},
      {"nothing to choose from",
       {{DType::f32, {2, 0}}},
       {{"axes", {1}}},
       "C3",
       "reduce_max \"op\": reduced axes must hold an element, got axes [1] of f32[2,0]"}};
}

}  // namespace

const OpDef& reduce_max_op() {
  static const OpDef def = reduction_record({
      .name = "reduce_max",
      .summary = "largest element over axes; NaN wins; equal ones share the gradient",
      .formula = "y[o] = max of x over the reduced axes",
      .constraints = {{"C3", "reduced axes must hold an element"}},
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = batch,
      .bad_cases = bad_cases,
  });
  return def;
}

namespace ops {

Value reduce_max(Value x, std::vector<std::int64_t> axes, bool keep_dims, SourceLocation loc) {
  return add_reduction(reduce_max_op(), x, std::move(axes), keep_dims, loc);
}

}  // namespace ops
}  // namespace ingot
