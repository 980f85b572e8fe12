#include <limits>

#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"
#include "ingot/ops/pool2d.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  return {{ctx.input(0).dtype, check_pool2d(ctx, ctx.input(0).shape, true).output}};
}

void reference(const ReferenceContext& ctx) {
  const std::vector<double> x = read_all(ctx.inputs[0]);
  std::vector<double> y(static_cast<std::size_t>(ctx.outputs[0].numel()),
                        -std::numeric_limits<double>::infinity());
  for_each_pool2d_tap(pool2d_shape(ctx.node), [&](std::size_t yi, std::size_t xi) {
    // Written so that a NaN in the window stays.
    if (!(x[xi] <= y[yi]) && y[yi] == y[yi]) y[yi] = x[xi];
  });
  write_all(ctx.outputs[0], y);
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const Pool2dShape shape = pool2d_shape(ctx.node);
  const MaxPool2dOptions options{shape.window.kernel, shape.window.stride, shape.window.padding,
                                 shape.window.dilation};
  return {ops::max_pool2d_grad(ctx.inputs[0], ctx.outputs[0], ctx.grads[0], options, {})};
}

std::vector<OpCase> cases() {
  return {{"2x2", {{{DType::f32, {2, 3, 8, 8}}}}, {{"kernel", {2, 2}}, {"stride", {2, 2}}}},
          {"stem",
           {{{DType::f32, {2, 8, 9, 9}}}},
           {{"kernel", {3, 3}}, {"stride", {2, 2}}, {"padding", {1, 1, 1, 1}}}},
          {"overlapping", {{{DType::f32, {1, 4, 7, 6}}}}, {{"kernel", {3, 2}}}},
          {"rest unread", {{{DType::f32, {1, 2, 7, 9}}}}, {{"kernel", {2, 2}}, {"stride", {3, 4}}}},
          {"asymmetric",
           {{{DType::f32, {2, 2, 5, 6}}}},
           {{"kernel", {2, 3}}, {"stride", {2, 1}}, {"padding", {0, 1, 2, 1}}}},
          {"dilated", {{{DType::f32, {1, 3, 8, 8}}}}, {{"kernel", {2, 3}}, {"dilation", {3, 2}}}},
          {"below zero",
           {{{DType::f32, {1, 2, 4, 4}}, -9, -5}},
           {{"kernel", {3, 3}}, {"padding", {1, 1, 1, 1}}}},
          {"empty batch", {{{DType::f32, {0, 3, 4, 4}}}}, {{"kernel", {2, 2}}}}};
}

std::vector<BadCase> bad_cases() {
  const TensorType x{DType::f32, {2, 3, 8, 8}};
  return {
      {"integers",
       {{DType::u8, {2, 3, 8, 8}}},
       {{"kernel", {2, 2}}},
       "C1",
       "max_pool2d \"op\": operands must be floating point, got u8[2,3,8,8]"},
      {"rank 3",
       {{DType::f32, {3, 8, 8}}},
       {{"kernel", {2, 2}}},
       "C2",
       "max_pool2d \"op\": input must have rank 4 [N, C, H, W], got [3,8,8]"},
      {"kernel 0",
       {x},
       {{"kernel", {2, 0}}},
       "C3",
       "max_pool2d \"op\": kernel must be two numbers of at least 1, got kernel [2,0]"},
      {"window of padding",
       {x},
       {{"kernel", {2, 2}}, {"padding", {2, 0, 0, 0}}},
       "C4",
       "max_pool2d \"op\": every window must hold an element of the input, got kernel [2,2], "
       "padding [2,0,0,0] on [2,3,8,8]"},
      {"stride 0",
       {x},
       {{"kernel", {2, 2}}, {"stride", {0, 0}}},
       "W1",
       "max_pool2d \"op\": stride must be two numbers of at least 1, got stride [0,0]"},
      {"negative padding",
       {x},
       {{"kernel", {2, 2}}, {"padding", {0, 0, 0, -1}}},
       "W2",
       "max_pool2d \"op\": padding must be four numbers of at least 0, got padding [0,0,0,-1]"},
      {"dilation 0",
       {x},
       {{"kernel", {2, 2}}, {"dilation", {1, 0}}},
       "W3",
       "max_pool2d \"op\": dilation must be two numbers of at least 1, got dilation [1,0]"},
      {"kernel too large",
       {x},
       {{"kernel", {9, 2}}},
       "W5",
       "max_pool2d \"op\": kernel must fit into the padded input, got kernel 9x2 on padded input "
       "8x8"}};
}

}  // namespace

const OpDef& max_pool2d_op() {
  static const OpDef def{
      .name = "max_pool2d",
      .summary = "largest element of each window; padding never wins",
      .formula = "y[n,c,h,w] = max over i, j of x[n, c, h sh - top + i dh, w sw - left + j dw]",
      .inputs = {{"x", "[N, C, H, W]"}},
      .outputs = {{"y", "[N, C, H', W'] with H' = (H + top + bottom - (kH-1) dh - 1) / sh + 1"}},
      .attrs = pool2d_attrs({}, true),
      .constraints = pool2d_constraints("input must have rank 4 [N, C, H, W]", true, false),
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = image_batch,
      .cost = pool2d_cost,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value max_pool2d(Value x, const MaxPool2dOptions& options, SourceLocation loc) {
  return x.graph().add(max_pool2d_op(), {x}, to_attrs(options), {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
