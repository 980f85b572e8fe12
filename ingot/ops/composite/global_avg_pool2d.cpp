#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/window2d.h"

namespace ingot {
namespace {

std::int64_t area(const Shape& x) { return x[2] * x[3]; }

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType& x = ctx.input(0);
  ctx.require(is_float(x.dtype), "C1");
  ctx.require(x.shape.rank() == 4, "C2");
  ctx.require(area(x.shape) > 0, "C3");
  return {{x.dtype, {x.shape[0], x.shape[1], 1, 1}}};
}

std::vector<Value> body(const Node&, std::span<const Value> inputs) {
  return {ops::mean(inputs[0], {2, 3}, true, {})};
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const Shape& shape = ctx.inputs[0].shape();
  return {ops::broadcast_to(ctx.grads[0] * (1.0 / static_cast<double>(area(shape))), shape, {})};
}

Cost cost(const Node& node) {
  Cost result = streaming_cost(node, 0);
  result.flops = static_cast<double>(node.input_type(0).numel());
  return result;
}

std::vector<OpCase> cases() {
  return {{"images", {{{DType::f32, {2, 8, 4, 4}}}}, {}},
          {"odd", {{{DType::f32, {3, 5, 7, 3}}}}, {}},
          {"one element", {{{DType::f32, {2, 3, 1, 1}}}}, {}},
          {"empty batch", {{{DType::f32, {0, 3, 4, 4}}}}, {}}};
}

std::vector<BadCase> bad_cases() {
  return {{"integers",
           {{DType::i32, {2, 3, 4, 4}}},
           {},
           "C1",
           "global_avg_pool2d \"op\": input must be floating point, got i32[2,3,4,4]"},
          {"rank 3",
           {{DType::f32, {3, 4, 4}}},
           {},
           "C2",
           "global_avg_pool2d \"op\": input must have rank 4 [N, C, H, W], got f32[3,4,4]"},
          {"empty image",
           {{DType::f32, {2, 3, 0, 4}}},
           {},
           "C3",
           "global_avg_pool2d \"op\": an image must hold an element, got f32[2,3,0,4]"}};
}

}  // namespace

const OpDef& global_avg_pool2d_op() {
  static const OpDef def{
      .name = "global_avg_pool2d",
      .summary = "mean over height and width",
      .formula = "y[n,c,0,0] = sum over h, w of x[n,c,h,w] / (H W)",
      .inputs = {{"x", "[N, C, H, W]"}},
      .outputs = {{"y", "[N, C, 1, 1]"}},
      .constraints = {{"C1", "input must be floating point", "convert it with cast"},
                      {"C2", "input must have rank 4 [N, C, H, W]",
                       "add a batch dimension: reshape [C, H, W] to [1, C, H, W]"},
                      {"C3", "an image must hold an element"}},
      .infer = infer,
      .gradient = {gradient},
      .batch = image_batch,
      .cost = cost,
      .traits = {.composite = true},
      .reduction_length = [](const Node& node) { return area(node.input_type(0).shape); },
      .body = body,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value global_avg_pool2d(Value x, SourceLocation loc) {
  return x.graph().add(global_avg_pool2d_op(), {x}, {}, {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
