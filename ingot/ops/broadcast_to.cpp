#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  const Shape target(ctx.integers("shape"));
  const auto got = [&] { return ctx.input_types() + " to " + target.to_string(); };
  for (const std::int64_t dim : target) ctx.require(dim >= 0, "C1", got);
  const TensorType types[] = {ctx.input(0), {ctx.input(0).dtype, target}};
  const auto shape = broadcast_shapes(types);
  ctx.require(shape.has_value() && *shape == target, "C2", got);
  return {{ctx.input(0).dtype, target}};
}

void reference(const ReferenceContext& ctx) {
  const Shape& from = ctx.inputs[0].type.shape;
  const Shape& to = ctx.outputs[0].type.shape;
  for_each_index(to, [&](std::int64_t flat, const auto& index) {
    copy_element(ctx.inputs[0], broadcast_index(from, to, index), ctx.outputs[0], flat);
  });
}

AttrList rebatch(const Node& node, std::span<const int> axes, std::int64_t items) {
  return with_batch_dim(node, "shape", elementwise_batch(node, axes)[0].axis, items);
}

std::vector<OpCase> cases() {
  return {{"bias", {{{DType::f32, {1, 8, 1, 1}}}}, {{"shape", {2, 8, 3, 3}}}},
          {"scalar", {{{DType::f32, {}}}}, {{"shape", {4, 5}}}},
          {"rank", {{{DType::f32, {5}}}}, {{"shape", {2, 3, 5}}}},
          {"integers", {{{DType::i32, {3, 1}}, -9, 9}}, {{"shape", {3, 4}}}},
          {"empty", {{{DType::f32, {1, 3}}}}, {{"shape", {0, 3}}}}};
}

std::vector<BadCase> bad_cases() {
  return {{"negative",
           {{DType::f32, {1}}},
           {{"shape", {-1}}},
           "C1",
           "broadcast_to \"op\": dimensions must not be negative, got f32[1] to [-1]"},
          {"does not fit",
           {{DType::f32, {8}}},
           {{"shape", {2, 8, 3, 3}}},
           "C2",
           "broadcast_to \"op\": operand must broadcast to the shape, got f32[8] to [2,8,3,3]"}};
}

}  // namespace

const OpDef& broadcast_to_op() {
  static const OpDef def{
      .name = "broadcast_to",
      .summary = "repeats size-1 axes as NumPy does",
      .inputs = {{"x", "any shape that broadcasts to `shape`"}},
      .outputs = {{"y", "`shape`"}},
      .attrs = {{"shape", AttrKind::integers, "the result's shape"}},
      .constraints = {{"C1", "dimensions must not be negative"},
                      {"C2", "operand must broadcast to the shape",
                       "reshape a per-channel operand to [1,C,1,1] to match [N,C,H,W]"}},
      .infer = infer,
      .gradient = {[](const GradientContext& ctx) {
        return std::vector{ops::sum_to(ctx.grads[0], ctx.inputs[0].shape())};
      }},
      .reference = reference,
      .batch = elementwise_batch,
      .rebatch = rebatch,
      .cost = [](const Node& node) { return streaming_cost(node, 0); },
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value broadcast_to(Value x, const Shape& shape, SourceLocation loc) {
  return x.graph().add(broadcast_to_op(), {x}, {{"shape", shape.to_vector()}}, {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
