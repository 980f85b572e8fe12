#include "ingot/ops/common.h"
#include "ingot/ops/contraction_tolerance.h"
#include "ingot/ops/conv2d_shape.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  const Shape input(ctx.integers("input_shape"));
  const Conv2dShape shape = check_conv2d(ctx, input, ctx.input(1).shape);
  check_conv2d_gradient(ctx, ctx.input(0), shape);
  return {{ctx.input(0).dtype, input}};
}

void reference(const ReferenceContext& ctx) {
  const std::vector<double> g = read_all(ctx.inputs[0]);
  const std::vector<double> w = read_all(ctx.inputs[1]);
  std::vector<double> dx(static_cast<std::size_t>(ctx.outputs[0].numel()), 0.0);
  for_each_conv2d_product(conv2d_shape(ctx.node), [&](std::size_t yi, std::size_t xi,
                                                      std::size_t wi) { dx[xi] += g[yi] * w[wi]; });
  write_all(ctx.outputs[0], dx);
}

// Linear in both operands, so its gradients are the two other convolutions.
std::vector<Value> gradient(const GradientContext& ctx) {
  const Value g = ctx.inputs[0];
  const Value w = ctx.inputs[1];
  const Value upstream = ctx.grads[0];
  const Conv2dOptions options = conv2d_options(ctx.node);
  return {ops::conv2d(upstream, w, options, {}),
          ops::conv2d_weight_grad(upstream, g, w.shape(), options, {})};
}

std::vector<OpCase> cases() {
  return {{"seed",
           {{{DType::f32, {2, 8, 8, 8}}}, {{DType::f32, {8, 3, 3, 3}}}},
           {{"input_shape", {2, 3, 8, 8}}, {"padding", {1, 1, 1, 1}}}},
          {"1x1 stride 2",
           {{{DType::f32, {2, 16, 3, 3}}}, {{DType::f32, {16, 8, 1, 1}}}},
           {{"input_shape", {2, 8, 6, 6}}, {"stride", {2, 2}}}},
          {"3x3 stride 2",
           {{{DType::f32, {1, 16, 4, 4}}}, {{DType::f32, {16, 16, 3, 3}}}},
           {{"input_shape", {1, 16, 8, 8}}, {"stride", {2, 2}}, {"padding", {1, 1, 1, 1}}}},
          {"asymmetric",
           {{{DType::f32, {2, 5, 6, 4}}}, {{DType::f32, {5, 3, 3, 2}}}},
           {{"input_shape", {2, 3, 6, 7}}, {"stride", {1, 2}}, {"padding", {0, 2, 1, 0}}}},
          {"rest unread",
           {{{DType::f32, {1, 3, 2, 2}}}, {{DType::f32, {3, 2, 3, 3}}}},
           {{"input_shape", {1, 2, 8, 8}}, {"stride", {3, 3}}}},
          {"dilated",
           {{{DType::f32, {2, 4, 9, 9}}}, {{DType::f32, {4, 4, 3, 3}}}},
           {{"input_shape", {2, 4, 9, 9}}, {"dilation", {2, 3}}, {"padding", {2, 2, 3, 3}}}},
          {"groups",
           {{{DType::f32, {2, 9, 5, 5}}}, {{DType::f32, {9, 2, 3, 3}}}},
           {{"input_shape", {2, 6, 5, 5}}, {"groups", 3}, {"padding", {1, 1, 1, 1}}}},
          {"depthwise",
           {{{DType::f32, {2, 8, 6, 6}}}, {{DType::f32, {8, 1, 3, 3}}}},
           {{"input_shape", {2, 8, 6, 6}}, {"groups", 8}, {"padding", {1, 1, 1, 1}}}}};
}

std::vector<BadCase> bad_cases() {
  const AttrList attrs{{"input_shape", {2, 3, 8, 8}}};
  const TensorType g{DType::f32, {2, 8, 6, 6}};
  const TensorType w{DType::f32, {8, 3, 3, 3}};
  std::vector<BadCase> bad{
      {"dtypes differ",
       {g, {DType::f64, {8, 3, 3, 3}}},
       {{"input_shape", {2, 3, 8, 8}}},
       "C1",
       "conv2d_input_grad \"op\": operands must have one dtype, got f32[2,8,6,6], f64[8,3,3,3]"},
      {"rank 3 input",
       {g, w},
       {{"input_shape", {3, 8, 8}}},
       "C3",
       "conv2d_input_grad \"op\": input_shape must be [N, C, H, W], got input [3,8,8], weight "
       "[8,3,3,3]"},
      {"unknown batch",
       {g, w},
       {{"input_shape", {-1, 3, 8, 8}}},
       "C3",
       "conv2d_input_grad \"op\": input_shape must be [N, C, H, W], got input [-1,3,8,8], weight "
       "[8,3,3,3]"},
      {"groups 0",
       {g, w},
       {{"input_shape", {2, 3, 8, 8}}, {"groups", 0}},
       "C5",
       "conv2d_input_grad \"op\": groups must be at least 1, got groups 0, input [2,3,8,8], "
       "weight [8,3,3,3]"},
      {"channels differ",
       {g, w},
       {{"input_shape", {2, 4, 8, 8}}},
       "C7",
       "conv2d_input_grad \"op\": weight must have C/groups channels at axis 1, got groups 1, "
       "input [2,4,8,8], weight [8,3,3,3]"},
      {"gradient's shape",
       {g, w},
       {{"input_shape", {2, 3, 9, 9}}},
       "C8",
       "conv2d_input_grad \"op\": gradient must have the shape of the convolution's result, got "
       "f32[2,8,6,6] for [2,8,7,7]"}};
  const auto add = [&bad](std::string name, std::vector<TensorType> inputs, AttrList attributes,
                          std::string_view id, const std::string& text) {
    bad.push_back({std::move(name), std::move(inputs), std::move(attributes), id,
                   "conv2d_input_grad \"op\": " + text});
  };
  add("integers", {{DType::i32, {2, 8, 6, 6}}, {DType::i32, {8, 3, 3, 3}}}, attrs, "C2",
      "operands must be floating point, got i32[2,8,6,6], i32[8,3,3,3]");
  add("rank 2 weight", {g, {DType::f32, {8, 27}}}, attrs, "C4",
      "weight must have rank 4 [O, C/groups, kH, kW], got input [2,3,8,8], weight [8,27]");
  add("groups do not divide", {g, w}, {{"input_shape", {2, 3, 8, 8}}, {"groups", 2}}, "C6",
      "groups must divide the input and the output channels, got groups 2, input [2,3,8,8], "
      "weight [8,3,3,3]");
  add("empty kernel", {g, {DType::f32, {8, 3, 0, 3}}}, attrs, "W4",
      "kernel must be at least 1x1, got 0x3");
  add("kernel too large", {g, {DType::f32, {8, 3, 9, 3}}}, attrs, "W5",
      "kernel must fit into the padded input, got kernel 9x3 on padded input 8x8");
  bad.push_back(math_bad_case("conv2d_input_grad", {g, w}, attrs));
  for (BadCase& item : window_bad_cases("conv2d_input_grad", {g, w}, attrs)) {
    bad.push_back(std::move(item));
  }
  return bad;
}

}  // namespace

const OpDef& conv2d_input_grad_op() {
  static const OpDef def{
      .name = "conv2d_input_grad",
      .summary = "gradient of conv2d with respect to its input (a transposed convolution)",
      .formula = "dx[n,c,h,w] = sum of g w over every product of conv2d that reads x[n,c,h,w]",
      .inputs = {{"g", "[N, O, H', W'], the result's gradient"}, {"w", "[O, C/groups, kH, kW]"}},
      .outputs = {{"dx", "`input_shape`"}},
      .attrs =
          conv2d_attrs({{"input_shape", AttrKind::integers, "[N, C, H, W] of conv2d's input"}}),
      .constraints = conv2d_constraints(
          {"input_shape must be [N, C, H, W]", "weight must have rank 4 [O, C/groups, kH, kW]"}),
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = image_batch,
      .rebatch = image_rebatch,
      .cost = conv2d_cost,
      .traits = {.contraction = true},
      .reduction_length =
          [](const Node& node) {
            const Conv2dShape shape = conv2d_shape(node);
            return shape.group_out() * shape.taps();
          },
      .tolerance = contraction_tolerance,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value conv2d_input_grad(Value g, Value w, const Shape& input_shape, const Conv2dOptions& options,
                        SourceLocation loc) {
  AttrList attrs = to_attrs(options);
  attrs.emplace_back("input_shape", input_shape.to_vector());
  return g.graph().add(conv2d_input_grad_op(), {g, w}, std::move(attrs), {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
