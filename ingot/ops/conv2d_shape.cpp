#include "ingot/ops/conv2d_shape.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "ingot/ops/common.h"

namespace ingot {
namespace {

Conv2dShape make_shape(const Shape& input, const Shape& weight, std::int64_t groups,
                       const Window2d& window) {
  Conv2dShape s;
  s.batch = input[0];
  s.in_channels = input[1];
  s.in_h = input[2];
  s.in_w = input[3];
  s.out_channels = weight[0];
  s.groups = groups;
  s.window = window;
  s.out_h = window.output_size(0, s.in_h);
  s.out_w = window.output_size(1, s.in_w);
  return s;
}

}  // namespace

double Conv2dShape::flops() const {
  return 2.0 * static_cast<double>(output().numel()) * static_cast<double>(group_in() * taps());
}

Conv2dShape conv2d_shape(const Node& node) {
  const auto shape_of = [&](std::string_view attr, std::size_t operand) {
    return node.op().attr_index(attr) >= 0 ? Shape(node.integers(attr))
                                           : node.input_type(operand).shape;
  };
  // The gradients keep the shape they produce as an attribute; the other one is an operand.
  const Shape input = shape_of("input_shape", 0);
  const Shape weight = shape_of("weight_shape", 1);
  return make_shape(input, weight, node.integer("groups"), window_of(node, {weight[2], weight[3]}));
}

std::optional<Conv2dOperands> conv2d_operands(const OpDef& op) {
  if (!op.traits.contraction || op.attr_index("groups") < 0) return std::nullopt;
  // The gradients keep the shape they produce.
  if (op.attr_index("input_shape") >= 0) return Conv2dOperands{ConvKind::input_grad, -1, 1, 0};
  if (op.attr_index("weight_shape") >= 0) return Conv2dOperands{ConvKind::weight_grad, 0, -1, 1};
  return Conv2dOperands{ConvKind::forward, 0, 1, -1};
}

std::vector<AttrSpec> conv2d_attrs(std::vector<AttrSpec> own) {
  const AttrSpec groups{"groups", AttrKind::integer,
                        "blocks of channels that are convolved apart; the number of input "
                        "channels makes a depthwise convolution",
                        AttrValue(std::int64_t{1})};
  own = window_attrs(std::move(own));
  own.push_back(groups);
  own.push_back(math_attr());
  return own;
}

std::vector<Constraint> conv2d_constraints(const Conv2dTexts& texts) {
  std::vector<Constraint> constraints{
      {"C1", "operands must have one dtype", "convert one with cast"},
      {"C2", "operands must be floating point", "convert them with cast"},
      {"C3", texts.input_rank, "add a batch dimension: reshape [C, H, W] to [1, C, H, W]"},
      {"C4", texts.weight_rank, "expected OIHW [O, C/groups, kH, kW]"},
      {"C5", "groups must be at least 1",
       "1 is an ordinary convolution, the number of input channels a depthwise one"},
      {"C6", "groups must divide the input and the output channels"},
      {"C7", "weight must have C/groups channels at axis 1",
       "expected OIHW [O, C/groups, kH, kW]; transpose HWIO weights with {3, 2, 0, 1}"}};
  if (texts.has_gradient_operand) {
    constraints.push_back({"C8", "gradient must have the shape of the convolution's result"});
  }
  constraints.push_back(math_constraint());
  for (const Constraint& constraint : window_constraints()) constraints.push_back(constraint);
  return constraints;
}

Conv2dShape check_conv2d(const InferContext& ctx, const Shape& input, const Shape& weight) {
  ctx.require(ctx.input(0).dtype == ctx.input(1).dtype, "C1");
  ctx.require(is_float(ctx.input(0).dtype), "C2");
  check_math(ctx);
  const auto valid = [](const Shape& shape) {
    return shape.rank() == 4 &&
           std::all_of(shape.begin(), shape.end(), [](std::int64_t dim) { return dim >= 0; });
  };
  const auto shapes = [&] {
    return fmt::format("input {}, weight {}", input.to_string(), weight.to_string());
  };
  ctx.require(valid(input), "C3", shapes);
  ctx.require(valid(weight), "C4", shapes);
  const std::int64_t groups = ctx.integer("groups");
  const auto with_groups = [&] { return fmt::format("groups {}, {}", groups, shapes()); };
  ctx.require(groups >= 1, "C5", with_groups);
  ctx.require(input[1] % groups == 0 && weight[0] % groups == 0, "C6", with_groups);
  ctx.require(weight[1] == input[1] / groups, "C7", with_groups);
  return make_shape(input, weight, groups,
                    check_window(ctx, {weight[2], weight[3]}, {input[2], input[3]}));
}

void check_conv2d_gradient(const InferContext& ctx, const TensorType& gradient,
                           const Conv2dShape& shape) {
  ctx.require(gradient.shape == shape.output(), "C8", [&] {
    return fmt::format("{} for {}", gradient.to_string(), shape.output().to_string());
  });
}

Cost conv2d_cost(const Node& node) {
  Cost cost = streaming_cost(node, 0);
  cost.flops = conv2d_shape(node).flops();
  return cost;
}

}  // namespace ingot
