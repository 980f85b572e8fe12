#include <fmt/core.h>

#include <algorithm>

#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "ingot/ops/reduction.h"
#include "ingot/ops/window2d.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType& x = ctx.input(0);
  const auto axes = normalize_axes(ctx.integers("axes"), x.shape.rank());
  const auto got = [&] {
    return fmt::format("axes {} of {}", list_text(ctx.integers("axes")), x.to_string());
  };
  ctx.require(axes.has_value(), "C1", got);
  ctx.require(is_float(x.dtype), "C2");
  Shape shape;
  std::int64_t reduced = 1;
  for (int axis = 0; axis < x.shape.rank(); ++axis) {
    if (std::binary_search(axes->begin(), axes->end(), axis)) {
      reduced *= x.shape[axis];
    } else {
      shape.push_back(x.shape[axis]);
    }
  }
  ctx.require(reduced > 0, "C3", got);
  return {{x.dtype, shape}, {x.dtype, shape}};
}

void reference(const ReferenceContext& ctx) {
  const std::vector<double> x = read_all(ctx.inputs[0]);
  const double count = static_cast<double>(reduction_length(ctx.node));
  std::vector<double> mean(static_cast<std::size_t>(ctx.outputs[0].numel()), 0.0);
  std::vector<double> var(mean.size(), 0.0);
  for_each_reduced(ctx.node, [&](std::int64_t in, std::int64_t out) {
    mean[static_cast<std::size_t>(out)] += x[static_cast<std::size_t>(in)] / count;
  });
  for_each_reduced(ctx.node, [&](std::int64_t in, std::int64_t out) {
    const double centred = x[static_cast<std::size_t>(in)] - mean[static_cast<std::size_t>(out)];
    var[static_cast<std::size_t>(out)] += centred * centred / count;
  });
  write_all(ctx.outputs[0], mean);
  write_all(ctx.outputs[1], var);
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const Value x = ctx.inputs[0];
  const double scale = 1.0 / static_cast<double>(reduction_length(ctx.node));
  Value dx;
  if (ctx.grads[0]) dx = expand_reduced(ctx.node, ctx.grads[0] * scale);
  if (ctx.grads[1]) {
    const Value centred = x - expand_reduced(ctx.node, ctx.outputs[0]);
    const Value part = centred * expand_reduced(ctx.node, ctx.grads[1] * (2.0 * scale));
    dx = dx ? dx + part : part;
  }
  return {dx};
}

// Kept when the batch is not among the reduced axes; else the variance mixes its items.
std::vector<BatchResult> batch(const Node& node, std::span<const int> input_axes) {
  const int axis = input_axes[0];
  if (axis < 0) return std::vector<BatchResult>(2, {BatchKind::none, -1});
  const std::vector<int> axes = reduced_axes(node);
  const auto at = std::lower_bound(axes.begin(), axes.end(), axis);
  if (at != axes.end() && *at == axis) return std::vector<BatchResult>(2);
  const BatchResult kept{BatchKind::kept, axis - static_cast<int>(at - axes.begin())};
  return {kept, kept};
}

Cost cost(const Node& node) {
  Cost result = streaming_cost(node, 0);
  result.flops = 4.0 * static_cast<double>(node.input_type(0).numel());
  return result;
}

std::vector<OpCase> cases() {
  return {{"all", {{{DType::f32, {3, 5, 7}}}}, {{"axes", std::vector<std::int64_t>{}}}},
          {"last", {{{DType::f32, {4, 33}}, -1, 3}}, {{"axes", {-1}}}},
          {"columns", {{{DType::f32, {33, 4}}}}, {{"axes", {0}}}},
          {"channels", {{{DType::f32, {3, 8, 4, 5}}}}, {{"axes", {0, 2, 3}}}},
          {"one element", {{{DType::f32, {4, 1}}}}, {{"axes", {1}}}},
          // The variance of values far from zero is what a one-pass formula loses.
          {"far from zero", {{{DType::f32, {8, 64}}, 100, 101}}, {{"axes", {1}}}}};
}

std::vector<BadCase> bad_cases() {
  return {{"axis out of range",
           {{DType::f32, {4, 4}}},
           {{"axes", {2}}},
           "C1",
           "moments \"op\": axes must be distinct and within the rank, got axes [2] of f32[4,4]"},
          {"integers",
           {{DType::i32, {4, 4}}},
           {{"axes", {1}}},
           "C2",
           "moments \"op\": operand must be floating point, got i32[4,4]"},
          {"nothing to reduce",
           {{DType::f32, {4, 0}}},
           {{"axes", {1}}},
           "C3",
           "moments \"op\": the reduced axes must hold an element, got axes [1] of f32[4,0]"}};
}

}  // namespace

const OpDef& moments_op() {
  static const OpDef def{
      .name = "moments",
      .summary = "mean and biased variance over axes",
      .formula = "mean[o] = sum x / M, var[o] = sum (x - mean[o])^2 / M over the M elements of o",
      .inputs = {{"x", "any shape"}},
      .outputs = {{"mean", "the shape without the reduced axes"}, {"var", "the same"}},
      .attrs = {{"axes", AttrKind::integers,
                 "reduced axes; negative ones count from the end; empty: all"}},
      .constraints = {{"C1", "axes must be distinct and within the rank"},
                      {"C2", "operand must be floating point", "convert it with cast"},
                      {"C3", "the reduced axes must hold an element"}},
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = batch,
      .cost = cost,
      .traits = {.reduction = true},
      .reduction_length = reduction_length,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Moments moments(Value x, std::vector<std::int64_t> axes, SourceLocation loc) {
  Node* node = x.graph().add(moments_op(), {x}, {{"axes", std::move(axes)}}, {}, loc);
  return {node->output(0), node->output(1)};
}

}  // namespace ops
}  // namespace ingot
