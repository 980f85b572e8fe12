#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"
#include "ingot/ops/pool2d.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  return {{ctx.input(0).dtype, check_pool2d(ctx, ctx.input(0).shape, false).output}};
}

void reference(const ReferenceContext& ctx) {
  const std::vector<double> x = read_all(ctx.inputs[0]);
  const std::vector<double> scale = avg_pool2d_scale(ctx.node);
  std::vector<double> y(scale.size(), 0.0);
  for_each_pool2d_tap(pool2d_shape(ctx.node),
                      [&](std::size_t yi, std::size_t xi) { y[yi] += x[xi] * scale[yi]; });
  write_all(ctx.outputs[0], y);
}

std::vector<Value> gradient(const GradientContext& ctx) {
  return {
      ops::avg_pool2d_grad(ctx.grads[0], ctx.inputs[0].shape(), avg_pool2d_options(ctx.node), {})};
}

std::vector<OpCase> cases() {
  return {{"2x2", {{{DType::f32, {2, 3, 8, 8}}}}, {{"kernel", {2, 2}}, {"stride", {2, 2}}}},
          {"global", {{{DType::f32, {2, 5, 4, 4}}}}, {{"kernel", {4, 4}}}},
          {"padded",
           {{{DType::f32, {2, 4, 7, 7}}}},
           {{"kernel", {3, 3}}, {"stride", {2, 2}}, {"padding", {1, 1, 1, 1}}}},
          {"padding not counted",
           {{{DType::f32, {2, 4, 7, 6}}}},
           {{"kernel", {3, 3}},
            {"stride", {2, 1}},
            {"padding", {1, 1, 0, 2}},
            {"count_include_pad", false}}},
          {"rest unread", {{{DType::f32, {1, 2, 7, 9}}}}, {{"kernel", {2, 2}}, {"stride", {3, 4}}}},
          {"empty batch", {{{DType::f32, {0, 3, 4, 4}}}}, {{"kernel", {2, 2}}}}};
}

std::vector<BadCase> bad_cases() {
  const TensorType x{DType::f32, {2, 3, 8, 8}};
  std::vector<BadCase> bad{
      {"rank 3",
       {{DType::f32, {3, 8, 8}}},
       {{"kernel", {2, 2}}},
       "C2",
       "avg_pool2d \"op\": input must have rank 4 [N, C, H, W], got [3,8,8]"},
      {"three kernel sizes",
       {x},
       {{"kernel", {2, 2, 2}}},
       "C3",
       "avg_pool2d \"op\": kernel must be two numbers of at least 1, got kernel [2,2,2]"},
      {"window of padding",
       {x},
       {{"kernel", {2, 2}}, {"padding", {0, 0, 0, 2}}},
       "C4",
       "avg_pool2d \"op\": every window must hold an element of the input, got kernel [2,2], "
       "padding [0,0,0,2] on [2,3,8,8]"},
      {"stride 0",
       {x},
       {{"kernel", {2, 2}}, {"stride", {1, 0}}},
       "W1",
       "avg_pool2d \"op\": stride must be two numbers of at least 1, got stride [1,0]"},
      {"kernel too large",
       {x},
       {{"kernel", {2, 9}}},
       "W5",
       "avg_pool2d \"op\": kernel must fit into the padded input, got kernel 2x9 on padded input "
       "8x8"}};
  bad.push_back({"integers",
                 {{DType::u8, {2, 3, 8, 8}}},
                 {{"kernel", {2, 2}}},
                 "C1",
                 "avg_pool2d \"op\": operands must be floating point, got u8[2,3,8,8]"});
  for (BadCase& item : window_bad_cases("avg_pool2d", {x}, {{"kernel", {2, 2}}}, false)) {
    bad.push_back(std::move(item));
  }
  return bad;
}

}  // namespace

const OpDef& avg_pool2d_op() {
  static const OpDef def{
      .name = "avg_pool2d",
      .summary = "mean of each window",
      .formula = "y[n,c,h,w] = sum over i, j of x[n, c, h sh - top + i, w sw - left + j] / count",
      .inputs = {{"x", "[N, C, H, W]"}},
      .outputs = {{"y", "[N, C, H', W'] with H' = (H + top + bottom - kH) / sh + 1"}},
      .attrs = pool2d_attrs(
          {{"count_include_pad", AttrKind::boolean,
            "count is kH kW, else the number of elements in the window", AttrValue(true)}},
          false),
      .constraints = pool2d_constraints("input must have rank 4 [N, C, H, W]", false, false),
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = image_batch,
      .cost = pool2d_cost,
      .reduction_length = pool2d_taps,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value avg_pool2d(Value x, const AvgPool2dOptions& options, SourceLocation loc) {
  return x.graph().add(avg_pool2d_op(), {x}, to_attrs(options), {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
