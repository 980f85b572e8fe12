#include "ingot/ops/composite/batch_norm_body.h"

#include <fmt/core.h>

#include <cmath>

#include "ingot/base/planted_bug.h"
#include "ingot/ops/operators.h"

namespace ingot {

std::vector<AttrSpec> batch_norm_attrs() {
  return {{"eps", AttrKind::real, "added to the variance", AttrValue(1e-5)}};
}

std::vector<Constraint> batch_norm_constraints(std::string_view per_channel) {
  return {{"C1", "input must be floating point", "convert it with cast"},
          {"C2", "input must have rank 2 or more, [N, C, ...]"},
          {"C3", per_channel, "C is the size of the input's axis 1"},
          {"C4", "per-channel operands must have one dtype, the input's or f32",
           "convert them with cast"},
          {"C5", "eps must be positive and finite"}};
}

TensorType check_batch_norm(const InferContext& ctx, std::size_t first) {
  const TensorType& x = ctx.input(0);
  ctx.require(is_float(x.dtype), "C1");
  ctx.require(x.shape.rank() >= 2, "C2");
  const TensorType want{ctx.input(first).dtype, {x.shape[1]}};
  for (std::size_t i = first; i < ctx.num_inputs(); ++i) {
    ctx.require(ctx.input(i).shape == want.shape, "C3");
    ctx.require(ctx.input(i).dtype == want.dtype, "C4");
  }
  ctx.require(want.dtype == x.dtype || want.dtype == DType::f32, "C4");
  const double eps = ctx.attr<double>("eps");
  ctx.require(std::isfinite(eps) && eps > 0, "C5", [&] { return fmt::format("eps {}", eps); });
  return want;
}

std::vector<Constraint> batch_norm_training_constraints(std::string_view per_channel) {
  const Constraint elements{"C6", "a channel must hold an element"};
  std::vector<Constraint> rules = batch_norm_constraints(per_channel);
  rules.push_back(elements);
  return rules;
}

std::vector<std::int64_t> batch_norm_axes(const Shape& x) {
  std::vector<std::int64_t> axes;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    if (axis != 1) axes.push_back(axis);
  }
  return axes;
}

double batch_norm_count(const Shape& x) {
  double count = 1;
  for (const std::int64_t axis : batch_norm_axes(x)) {
    count *= static_cast<double>(x[static_cast<int>(axis)]);
  }
  return count;
}

Value per_channel(Value v, const Shape& x) {
  Shape shape(std::vector<std::int64_t>(static_cast<std::size_t>(x.rank()), 1));
  shape[1] = x[1];
  return ops::reshape(v, shape, {});
}

Value batch_norm_rstd(Value var, const Node& node) {
  return ops::rsqrt(var + kernel_epsilon(node.attr<double>("eps")), {});
}

Value batch_norm_apply(const Node& node, Value x, Value gamma, Value beta, Value mean, Value var) {
  const Shape& shape = x.shape();
  const Value scale = gamma * batch_norm_rstd(var, node);
  const Value centred = ops::cast(x, gamma.dtype(), {}) - per_channel(mean, shape);
  const Value y = centred * per_channel(scale, shape) + per_channel(beta, shape);
  return ops::cast(y, x.dtype(), {});
}

Cost batch_norm_cost(const Node& node) {
  Cost cost = streaming_cost(node, 0);
  cost.flops = 8.0 * static_cast<double>(node.input_type(0).numel());
  return cost;
}

std::int64_t batch_norm_reduction_length(const Node& node) {
  return static_cast<std::int64_t>(batch_norm_count(node.input_type(0).shape));
}

}  // namespace ingot
