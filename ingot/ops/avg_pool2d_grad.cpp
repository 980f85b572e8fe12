#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"
#include "ingot/ops/pool2d.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  const Shape input(ctx.integers("input_shape"));
  check_pooled_operand(ctx, 0, check_pool2d(ctx, input, false));
  return {{ctx.input(0).dtype, input}};
}

void reference(const ReferenceContext& ctx) {
  const std::vector<double> g = read_all(ctx.inputs[0]);
  const std::vector<double> scale = avg_pool2d_scale(ctx.node);
  std::vector<double> dx(static_cast<std::size_t>(ctx.outputs[0].numel()), 0.0);
  for_each_pool2d_tap(pool2d_shape(ctx.node),
                      [&](std::size_t yi, std::size_t xi) { dx[xi] += g[yi] * scale[yi]; });
  write_all(ctx.outputs[0], dx);
}

std::vector<Value> gradient(const GradientContext& ctx) {
  return {ops::avg_pool2d(ctx.grads[0], avg_pool2d_options(ctx.node), {})};
}

std::vector<OpCase> cases() {
  return {{"2x2",
           {{{DType::f32, {2, 3, 4, 4}}}},
           {{"input_shape", {2, 3, 8, 8}}, {"kernel", {2, 2}}, {"stride", {2, 2}}}},
          {"global",
           {{{DType::f32, {2, 5, 1, 1}}}},
           {{"input_shape", {2, 5, 4, 4}}, {"kernel", {4, 4}}}},
          {"padding not counted",
           {{{DType::f32, {2, 4, 4, 6}}}},
           {{"input_shape", {2, 4, 7, 6}},
            {"kernel", {3, 3}},
            {"stride", {2, 1}},
            {"padding", {1, 1, 0, 2}},
            {"count_include_pad", false}}},
          {"rest unread",
           {{{DType::f32, {1, 2, 2, 2}}}},
           {{"input_shape", {1, 2, 7, 9}}, {"kernel", {2, 2}}, {"stride", {3, 4}}}}};
}

std::vector<BadCase> bad_cases() {
  const TensorType g{DType::f32, {2, 3, 4, 4}};
  std::vector<BadCase> bad{
      {"rank 3",
       {g},
       {{"input_shape", {3, 8, 8}}, {"kernel", {2, 2}}},
       "C2",
       "avg_pool2d_grad \"op\": input_shape must be [N, C, H, W], got [3,8,8]"},
      {"gradient's shape",
       {g},
       {{"input_shape", {2, 3, 8, 8}}, {"kernel", {2, 2}}},
       "C5",
       "avg_pool2d_grad \"op\": pooled operands must have the type of the pool's result, got "
       "f32[2,3,4,4] for f32[2,3,7,7]"}};
  const auto add = [&bad](std::string name, TensorType type, AttrList attributes,
                          std::string_view id, const std::string& text) {
    bad.push_back(
        {std::move(name), {type}, std::move(attributes), id, "avg_pool2d_grad \"op\": " + text});
  };
  add("integers", {DType::u8, {2, 3, 4, 4}}, {{"input_shape", {2, 3, 8, 8}}, {"kernel", {2, 2}}},
      "C1", "operands must be floating point, got u8[2,3,4,4]");
  add("three kernel sizes", g, {{"input_shape", {2, 3, 8, 8}}, {"kernel", {2, 2, 2}}}, "C3",
      "kernel must be two numbers of at least 1, got kernel [2,2,2]");
  add("window of padding", g,
      {{"input_shape", {2, 3, 8, 8}}, {"kernel", {2, 2}}, {"padding", {0, 0, 0, 2}}}, "C4",
      "every window must hold an element of the input, got kernel [2,2], padding [0,0,0,2] on "
      "[2,3,8,8]");
  add("kernel too large", g, {{"input_shape", {2, 3, 8, 8}}, {"kernel", {2, 9}}}, "W5",
      "kernel must fit into the padded input, got kernel 2x9 on padded input 8x8");
  for (BadCase& item : window_bad_cases(
           "avg_pool2d_grad", {g},
           {{"input_shape", {2, 3, 8, 8}}, {"kernel", {2, 2}}, {"stride", {2, 2}}}, false)) {
    bad.push_back(std::move(item));
  }
  return bad;
}

}  // namespace

const OpDef& avg_pool2d_grad_op() {
  static const OpDef def{
      .name = "avg_pool2d_grad",
      .summary = "gradient of avg_pool2d: each window's gradient is spread over its elements",
      .formula = "dx[x] = sum over the windows that hold x of g / count",
      .inputs = {{"g", "[N, C, H', W'], the result's gradient"}},
      .outputs = {{"dx", "`input_shape`"}},
      .attrs = pool2d_attrs(
          {{"input_shape", AttrKind::integers, "[N, C, H, W] of avg_pool2d's input"},
           {"count_include_pad", AttrKind::boolean,
            "count is kH kW, else the number of elements in the window", AttrValue(true)}},
          false),
      .constraints = pool2d_constraints("input_shape must be [N, C, H, W]", false, true),
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = image_batch,
      .rebatch = image_rebatch,
      .cost = pool2d_cost,
      .reduction_length = pool2d_taps,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value avg_pool2d_grad(Value g, const Shape& input_shape, const AvgPool2dOptions& options,
                      SourceLocation loc) {
  AttrList attrs = to_attrs(options);
  attrs.emplace_back("input_shape", input_shape.to_vector());
  return g.graph().add(avg_pool2d_grad_op(), {g}, std::move(attrs), {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
