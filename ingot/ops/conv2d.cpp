#include "ingot/ops/common.h"
#include "ingot/ops/contraction_tolerance.h"
#include "ingot/ops/conv2d_shape.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  const Conv2dShape shape = check_conv2d(ctx, ctx.input(0).shape, ctx.input(1).shape);
  return {{ctx.input(0).dtype, shape.output()}};
}

void reference(const ReferenceContext& ctx) {
  const std::vector<double> x = read_all(ctx.inputs[0]);
  const std::vector<double> w = read_all(ctx.inputs[1]);
  std::vector<double> y(static_cast<std::size_t>(ctx.outputs[0].numel()), 0.0);
  for_each_conv2d_product(conv2d_shape(ctx.node), [&](std::size_t yi, std::size_t xi,
                                                      std::size_t wi) { y[yi] += x[xi] * w[wi]; });
  write_all(ctx.outputs[0], y);
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const Value x = ctx.inputs[0];
  const Value w = ctx.inputs[1];
  const Value g = ctx.grads[0];
  const Conv2dOptions options = conv2d_options(ctx.node);
  return {ops::conv2d_input_grad(g, w, x.shape(), options, {}),
          ops::conv2d_weight_grad(x, g, w.shape(), options, {})};
}

std::vector<OpCase> cases() {
  return {{"seed",
           {{{DType::f32, {2, 3, 8, 8}}}, {{DType::f32, {8, 3, 3, 3}}}},
           {{"padding", {1, 1, 1, 1}}}},
          {"1x1", {{{DType::f32, {2, 16, 5, 5}}}, {{DType::f32, {8, 16, 1, 1}}}}, {}},
          {"1x1 stride 2",
           {{{DType::f32, {2, 8, 6, 6}}}, {{DType::f32, {16, 8, 1, 1}}}},
           {{"stride", {2, 2}}}},
          {"3x3 stride 2",
           {{{DType::f32, {1, 16, 8, 8}}}, {{DType::f32, {16, 16, 3, 3}}}},
           {{"stride", {2, 2}}, {"padding", {1, 1, 1, 1}}}},
          {"7x7 stem",
           {{{DType::f32, {1, 3, 15, 15}}}, {{DType::f32, {8, 3, 7, 7}}}},
           {{"stride", {2, 2}}, {"padding", {3, 3, 3, 3}}}},
          {"asymmetric",
           {{{DType::f32, {2, 3, 6, 7}}}, {{DType::f32, {5, 3, 3, 2}}}},
           {{"stride", {1, 2}}, {"padding", {0, 2, 1, 0}}}},
          {"rest unread",
           {{{DType::f32, {1, 2, 8, 8}}}, {{DType::f32, {3, 2, 3, 3}}}},
           {{"stride", {3, 3}}}},
          {"dilated",
           {{{DType::f32, {2, 4, 9, 9}}}, {{DType::f32, {4, 4, 3, 3}}}},
           {{"dilation", {2, 3}}, {"padding", {2, 2, 3, 3}}}},
          {"groups",
           {{{DType::f32, {2, 6, 5, 5}}}, {{DType::f32, {9, 2, 3, 3}}}},
           {{"groups", 3}, {"padding", {1, 1, 1, 1}}}},
          {"depthwise",
           {{{DType::f32, {2, 8, 6, 6}}}, {{DType::f32, {8, 1, 3, 3}}}},
           {{"groups", 8}, {"padding", {1, 1, 1, 1}}}},
          {"whole input", {{{DType::f32, {3, 4, 4, 4}}}, {{DType::f32, {10, 4, 4, 4}}}}, {}},
          {"empty batch", {{{DType::f32, {0, 3, 4, 4}}}, {{DType::f32, {2, 3, 3, 3}}}}, {}}};
}

std::vector<BadCase> bad_cases() {
  const TensorType x{DType::f32, {32, 3, 32, 32}};
  const TensorType w{DType::f32, {8, 3, 3, 3}};
  return {
      {"dtypes differ",
       {x, {DType::f64, {8, 3, 3, 3}}},
       {},
       "C1",
       "conv2d \"op\": operands must have one dtype, got f32[32,3,32,32], f64[8,3,3,3]"},
      {"integers",
       {{DType::u8, {32, 3, 32, 32}}, {DType::u8, {8, 3, 3, 3}}},
       {},
       "C2",
       "conv2d \"op\": operands must be floating point, got u8[32,3,32,32], u8[8,3,3,3]"},
      {"rank 3 input",
       {{DType::f32, {3, 32, 32}}, w},
       {},
       "C3",
       "conv2d \"op\": input must have rank 4 [N, C, H, W], got input [3,32,32], weight [8,3,3,3]"},
      {"rank 2 weight",
       {x, {DType::f32, {8, 27}}},
       {},
       "C4",
       "conv2d \"op\": weight must have rank 4 [O, C/groups, kH, kW], got input [32,3,32,32], "
       "weight [8,27]"},
      {"groups 0",
       {x, w},
       {{"groups", 0}},
       "C5",
       "conv2d \"op\": groups must be at least 1, got groups 0, input [32,3,32,32], weight "
       "[8,3,3,3]"},
      {"groups do not divide the input",
       {x, w},
       {{"groups", 2}},
       "C6",
       "conv2d \"op\": groups must divide the input and the output channels, got groups 2, input "
       "[32,3,32,32], weight [8,3,3,3]"},
      {"groups do not divide the output",
       {x, {DType::f32, {8, 1, 3, 3}}},
       {{"groups", 3}},
       "C6",
       "conv2d \"op\": groups must divide the input and the output channels, got groups 3, input "
       "[32,3,32,32], weight [8,1,3,3]"},
      {"HWIO weight",
       {{DType::f32, {32, 16, 8, 8}}, {DType::f32, {3, 3, 16, 32}}},
       {},
       "C7",
       "conv2d \"op\": weight must have C/groups channels at axis 1, got groups 1, input "
       "[32,16,8,8], weight [3,3,16,32]"},
      {"ungrouped weight",
       {{DType::f32, {1, 8, 4, 4}}, {DType::f32, {8, 8, 3, 3}}},
       {{"groups", 8}},
       "C7",
       "conv2d \"op\": weight must have C/groups channels at axis 1, got groups 8, input "
       "[1,8,4,4], weight [8,8,3,3]"},
      {"stride 0",
       {x, w},
       {{"stride", {1, 0}}},
       "W1",
       "conv2d \"op\": stride must be two numbers of at least 1, got stride [1,0]"},
      {"one stride",
       {x, w},
       {{"stride", {2}}},
       "W1",
       "conv2d \"op\": stride must be two numbers of at least 1, got stride [2]"},
      {"negative padding",
       {x, w},
       {{"padding", {0, -1, 0, 0}}},
       "W2",
       "conv2d \"op\": padding must be four numbers of at least 0, got padding [0,-1,0,0]"},
      {"two paddings",
       {x, w},
       {{"padding", {1, 1}}},
       "W2",
       "conv2d \"op\": padding must be four numbers of at least 0, got padding [1,1]"},
      {"dilation 0",
       {x, w},
       {{"dilation", {0, 1}}},
       "W3",
       "conv2d \"op\": dilation must be two numbers of at least 1, got dilation [0,1]"},
      {"empty kernel",
       {x, {DType::f32, {8, 3, 0, 3}}},
       {},
       "W4",
       "conv2d \"op\": kernel must be at least 1x1, got 0x3"},
      {"kernel too large",
       {{DType::f32, {1, 3, 2, 8}}, {DType::f32, {8, 3, 5, 3}}},
       {{"padding", {1, 1, 0, 0}}},
       "W5",
       "conv2d \"op\": kernel must fit into the padded input, got kernel 5x3 on padded input 4x8"},
      math_bad_case("conv2d", {x, w}, {})};
}

}  // namespace

const OpDef& conv2d_op() {
  static const OpDef def{
      .name = "conv2d",
      .summary = "cross-correlation of images with a bank of kernels",
      .formula =
          "y[n,o,h,w] = sum over c, i, j of x[n, c of o's group, h sh - top + i dh, "
          "w sw - left + j dw] w[o,c,i,j]",
      .inputs = {{"x", "[N, C, H, W]"}, {"w", "[O, C/groups, kH, kW]"}},
      .outputs = {{"y", "[N, O, H', W'] with H' = (H + top + bottom - (kH-1) dh - 1) / sh + 1"}},
      .attrs = conv2d_attrs({}),
      .constraints = conv2d_constraints({"input must have rank 4 [N, C, H, W]",
                                         "weight must have rank 4 [O, C/groups, kH, kW]", false}),
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = image_batch,
      .cost = conv2d_cost,
      .traits = {.contraction = true},
      .scaled_operand = [](const Node&) -> ScaledOperand { return {1, 0, 1}; },
      .reduction_length =
          [](const Node& node) {
            const Conv2dShape shape = conv2d_shape(node);
            return shape.group_in() * shape.taps();
          },
      .tolerance = contraction_tolerance,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

Conv2dOptions conv2d_options(const Node& node) {
  const Conv2dShape shape = conv2d_shape(node);
  return {shape.window.stride, shape.window.padding, shape.window.dilation, shape.groups,
          node.attr<std::string>("math")};
}

AttrList to_attrs(const Conv2dOptions& options) {
  const auto list = [](const auto& values) {
    return std::vector<std::int64_t>(values.begin(), values.end());
  };
  return {{"stride", list(options.stride)},
          {"padding", list(options.padding)},
          {"dilation", list(options.dilation)},
          {"groups", options.groups},
          {"math", options.math}};
}

namespace ops {

Value conv2d(Value x, Value w, const Conv2dOptions& options, SourceLocation loc) {
  return x.graph().add(conv2d_op(), {x, w}, to_attrs(options), {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
