#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"
#include "ingot/ops/reduction.h"

namespace ingot {
namespace {

void reference(const ReferenceContext& ctx) {
  std::vector<double> totals(static_cast<std::size_t>(ctx.outputs[0].numel()), 0.0);
  for_each_reduced(ctx.node, [&](std::int64_t in, std::int64_t out) {
    totals[static_cast<std::size_t>(out)] += ctx.inputs[0].get(in);
  });
  for (std::size_t i = 0; i < totals.size(); ++i) {
    ctx.outputs[0].set(static_cast<std::int64_t>(i), totals[i]);
  }
}

std::vector<BadCase> bad_cases() {
  return {{"axis out of range",
           {{DType::f32, {2, 3}}},
           {{"axes", {0, 2}}},
           "C1",
           "sum \"op\": axes must be distinct and within the rank, got axes [0,2] of f32[2,3]"},
          {"axis twice",
           {{DType::f32, {2, 3}}},
           {{"axes", {1, -1}}},
           "C1",
           "sum \"op\": axes must be distinct and within the rank, got axes [1,-1] of f32[2,3]"},
          {"bool",
           {{DType::boolean, {2, 3}}},
           {{"axes", {0}}},
           "C2",
           "sum \"op\": operand must be a number, got bool[2,3]"}};
}

}  // namespace

const OpDef& sum_op() {
  static const OpDef def = reduction_record({
      .name = "sum",
      .summary = "sum over axes",
      .formula = "y[o] = sum of x over the reduced axes",
      .gradient = {[](const GradientContext& ctx) {
        return std::vector{expand_reduced(ctx.node, ctx.grads[0])};
      }},
      .reference = reference,
      .bad_cases = bad_cases,
  });
  return def;
}

namespace ops {

Value sum(Value x, std::vector<std::int64_t> axes, bool keep_dims, SourceLocation loc) {
  return add_reduction(sum_op(), x, std::move(axes), keep_dims, loc);
}

Value sum_to(Value x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int offset = x.shape().rank() - shape.rank();
  std::vector<std::int64_t> lead;
  std::vector<std::int64_t> ones;
  for (int axis = 0; axis < offset; ++axis) lead.push_back(axis);
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] == 1 && x.shape()[axis + offset] != 1) ones.push_back(axis + offset);
  }
  if (!ones.empty()) x = sum(x, ones, true, {});
  if (!lead.empty()) x = sum(x, lead, false, {});
  return x;
}

}  // namespace ops
}  // namespace ingot
