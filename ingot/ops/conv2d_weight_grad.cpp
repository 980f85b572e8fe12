#include "ingot/ops/common.h"
#include "ingot/ops/contraction_tolerance.h"
#include "ingot/ops/conv2d_shape.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  const Shape weight(ctx.integers("weight_shape"));
  const Conv2dShape shape = check_conv2d(ctx, ctx.input(0).shape, weight);
  check_conv2d_gradient(ctx, ctx.input(1), shape);
  return {{ctx.input(0).dtype, weight}};
}

void reference(const ReferenceContext& ctx) {
  const std::vector<double> x = read_all(ctx.inputs[0]);
  const std::vector<double> g = read_all(ctx.inputs[1]);
  std::vector<double> dw(static_cast<std::size_t>(ctx.outputs[0].numel()), 0.0);
  for_each_conv2d_product(conv2d_shape(ctx.node), [&](std::size_t yi, std::size_t xi,
                                                      std::size_t wi) { dw[wi] += x[xi] * g[yi]; });
  write_all(ctx.outputs[0], dw);
}

// Linear in both operands, so its gradients are the two other convolutions.
std::vector<Value> gradient(const GradientContext& ctx) {
  const Value x = ctx.inputs[0];
  const Value g = ctx.inputs[1];
  const Value upstream = ctx.grads[0];
  const Conv2dOptions options = conv2d_options(ctx.node);
  return {ops::conv2d_input_grad(g, upstream, x.shape(), options, {}),
          ops::conv2d(x, upstream, options, {})};
}

std::vector<BatchResult> batch(const Node&, std::span<const int> axes) {
  if (axes[0] < 0 && axes[1] < 0) return {{BatchKind::none, -1}};
  if (axes[0] == 0 && axes[1] == 0) return {{BatchKind::reduced, -1}};
  return {{BatchKind::mixed, -1}};
}

std::vector<OpCase> cases() {
  return {{"seed",
           {{{DType::f32, {2, 3, 8, 8}}}, {{DType::f32, {2, 8, 8, 8}}}},
           {{"weight_shape", {8, 3, 3, 3}}, {"padding", {1, 1, 1, 1}}}},
          {"1x1 stride 2",
           {{{DType::f32, {2, 8, 6, 6}}}, {{DType::f32, {2, 16, 3, 3}}}},
           {{"weight_shape", {16, 8, 1, 1}}, {"stride", {2, 2}}}},
          {"3x3 stride 2",
           {{{DType::f32, {1, 16, 8, 8}}}, {{DType::f32, {1, 16, 4, 4}}}},
           {{"weight_shape", {16, 16, 3, 3}}, {"stride", {2, 2}}, {"padding", {1, 1, 1, 1}}}},
          {"asymmetric",
           {{{DType::f32, {2, 3, 6, 7}}}, {{DType::f32, {2, 5, 6, 4}}}},
           {{"weight_shape", {5, 3, 3, 2}}, {"stride", {1, 2}}, {"padding", {0, 2, 1, 0}}}},
          {"rest unread",
           {{{DType::f32, {1, 2, 8, 8}}}, {{DType::f32, {1, 3, 2, 2}}}},
           {{"weight_shape", {3, 2, 3, 3}}, {"stride", {3, 3}}}},
          {"dilated",
           {{{DType::f32, {2, 4, 9, 9}}}, {{DType::f32, {2, 4, 9, 9}}}},
           {{"weight_shape", {4, 4, 3, 3}}, {"dilation", {2, 3}}, {"padding", {2, 2, 3, 3}}}},
          {"groups",
           {{{DType::f32, {2, 6, 5, 5}}}, {{DType::f32, {2, 9, 5, 5}}}},
           {{"weight_shape", {9, 2, 3, 3}}, {"groups", 3}, {"padding", {1, 1, 1, 1}}}},
          {"depthwise",
           {{{DType::f32, {2, 8, 6, 6}}}, {{DType::f32, {2, 8, 6, 6}}}},
           {{"weight_shape", {8, 1, 3, 3}}, {"groups", 8}, {"padding", {1, 1, 1, 1}}}},
          {"empty batch",
           {{{DType::f32, {0, 3, 4, 4}}}, {{DType::f32, {0, 2, 2, 2}}}},
           {{"weight_shape", {2, 3, 3, 3}}}}};
}

std::vector<BadCase> bad_cases() {
  const AttrList attrs{{"weight_shape", {8, 3, 3, 3}}};
  const TensorType x{DType::f32, {2, 3, 8, 8}};
  const TensorType g{DType::f32, {2, 8, 6, 6}};
  std::vector<BadCase> bad{
      {"dtypes differ",
       {x, {DType::f64, {2, 8, 6, 6}}},
       {{"weight_shape", {8, 3, 3, 3}}},
       "C1",
       "conv2d_weight_grad \"op\": operands must have one dtype, got f32[2,3,8,8], f64[2,8,6,6]"},
      {"rank 3 input",
       {{DType::f32, {3, 8, 8}}, g},
       {{"weight_shape", {8, 3, 3, 3}}},
       "C3",
       "conv2d_weight_grad \"op\": input must have rank 4 [N, C, H, W], got input [3,8,8], weight "
       "[8,3,3,3]"},
      {"rank 2 weight",
       {x, g},
       {{"weight_shape", {8, 27}}},
       "C4",
       "conv2d_weight_grad \"op\": weight_shape must be [O, C/groups, kH, kW], got input "
       "[2,3,8,8], weight [8,27]"},
      {"groups 0",
       {x, g},
       {{"weight_shape", {8, 3, 3, 3}}, {"groups", 0}},
       "C5",
       "conv2d_weight_grad \"op\": groups must be at least 1, got groups 0, input [2,3,8,8], "
       "weight [8,3,3,3]"},
      {"gradient's shape",
       {x, g},
       {{"weight_shape", {8, 3, 5, 5}}},
       "C8",
       "conv2d_weight_grad \"op\": gradient must have the shape of the convolution's result, got "
       "f32[2,8,6,6] for [2,8,4,4]"}};
  const auto add = [&bad](std::string name, std::vector<TensorType> inputs, AttrList attributes,
                          std::string_view id, const std::string& text) {
    bad.push_back({std::move(name), std::move(inputs), std::move(attributes), id,
                   "conv2d_weight_grad \"op\": " + text});
  };
  add("integers", {{DType::i32, {2, 3, 8, 8}}, {DType::i32, {2, 8, 6, 6}}}, attrs, "C2",
      "operands must be floating point, got i32[2,3,8,8], i32[2,8,6,6]");
  add("groups do not divide", {x, g}, {{"weight_shape", {8, 3, 3, 3}}, {"groups", 2}}, "C6",
      "groups must divide the input and the output channels, got groups 2, input [2,3,8,8], "
      "weight [8,3,3,3]");
  add("channels differ", {x, g}, {{"weight_shape", {8, 4, 3, 3}}}, "C7",
      "weight must have C/groups channels at axis 1, got groups 1, input [2,3,8,8], weight "
      "[8,4,3,3]");
  add("empty kernel", {x, g}, {{"weight_shape", {8, 3, 0, 3}}}, "W4",
      "kernel must be at least 1x1, got 0x3");
  add("kernel too large", {x, g}, {{"weight_shape", {8, 3, 9, 3}}}, "W5",
      "kernel must fit into the padded input, got kernel 9x3 on padded input 8x8");
  bad.push_back(math_bad_case("conv2d_weight_grad", {x, g}, attrs));
  for (BadCase& item : window_bad_cases("conv2d_weight_grad", {x, g}, attrs)) {
    bad.push_back(std::move(item));
  }
  return bad;
}

}  // namespace

const OpDef& conv2d_weight_grad_op() {
  static const OpDef def{
      .name = "conv2d_weight_grad",
      .summary = "gradient of conv2d with respect to its weight",
      .formula = "dw[o,c,i,j] = sum of x g over every product of conv2d that reads w[o,c,i,j]",
      .inputs = {{"x", "[N, C, H, W]"}, {"g", "[N, O, H', W'], the result's gradient"}},
      .outputs = {{"dw", "`weight_shape`"}},
      .attrs = conv2d_attrs(
          {{"weight_shape", AttrKind::integers, "[O, C/groups, kH, kW] of conv2d's weight"}}),
      .constraints = conv2d_constraints(
          {"input must have rank 4 [N, C, H, W]", "weight_shape must be [O, C/groups, kH, kW]"}),
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = batch,
      .cost = conv2d_cost,
      .traits = {.contraction = true},
      .reduction_length =
          [](const Node& node) {
            const Conv2dShape shape = conv2d_shape(node);
            return shape.batch * shape.out_h * shape.out_w;
          },
      .tolerance = contraction_tolerance,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value conv2d_weight_grad(Value x, Value g, const Shape& weight_shape, const Conv2dOptions& options,
                         SourceLocation loc) {
  AttrList attrs = to_attrs(options);
  attrs.emplace_back("weight_shape", weight_shape.to_vector());
  return x.graph().add(conv2d_weight_grad_op(), {x, g}, std::move(attrs), {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
