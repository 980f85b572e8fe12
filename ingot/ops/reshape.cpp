#include <algorithm>

#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType& x = ctx.input(0);
  Shape shape(ctx.integers("shape"));
  const auto got = [&] { return x.to_string() + " to " + shape.to_string(); };
  int unknown = -1;
  std::int64_t known = 1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    ctx.require(shape[axis] >= -1, "C1", got);
    if (shape[axis] == -1) {
      ctx.require(unknown < 0, "C1", got);
      unknown = axis;
    } else {
      known *= shape[axis];
    }
  }
  if (unknown >= 0) {
    ctx.require(known != 0 && x.numel() % known == 0, "C2", got);
    shape[unknown] = x.numel() / known;
  }
  ctx.require(shape.numel() == x.numel(), "C2", got);
  return {{x.dtype, shape}};
}

// The batch survives when it stays the outermost axis with its size.
std::vector<BatchResult> batch(const Node& node, std::span<const int> axes) {
  if (axes[0] < 0) return {{BatchKind::none, -1}};
  const Shape& from = node.input_type(0).shape;
  const Shape& to = node.output_type().shape;
  if (axes[0] == 0 && to.rank() > 0 && from[0] == to[0]) return {{BatchKind::kept, 0}};
  return {{BatchKind::mixed, -1}};
}

AttrList rebatch(const Node& node, std::span<const int>, std::int64_t items) {
  return with_batch_dim(node, "shape", 0, items);
}

std::vector<OpCase> cases() {
  return {{"flatten", {{{DType::f32, {4, 3, 2, 2}}}}, {{"shape", {4, -1}}}},
          {"bias", {{{DType::f32, {8}}}}, {{"shape", {1, 8, 1, 1}}}},
          {"scalar", {{{DType::f32, {1, 1}}}}, {{"shape", std::vector<std::int64_t>{}}}},
          {"integers", {{{DType::i32, {6}}, -9, 9}}, {{"shape", {2, 3}}}},
          {"empty", {{{DType::f32, {0, 4}}}}, {{"shape", {2, 0}}}}};
}

std::vector<BadCase> bad_cases() {
  return {
      {"two unknown",
       {{DType::f32, {4, 4}}},
       {{"shape", {-1, -1}}},
       "C1",
       "reshape \"op\": at most one dimension may be -1 and none below, got f32[4,4] to [-1,-1]"},
      {"sizes differ",
       {{DType::f32, {32, 8}}},
       {{"shape", {32, 9}}},
       "C2",
       "reshape \"op\": number of elements must stay the same, got f32[32,8] to [32,9]"},
      {"not divisible",
       {{DType::f32, {10}}},
       {{"shape", {3, -1}}},
       "C2",
       "reshape \"op\": number of elements must stay the same, got f32[10] to [3,-1]"}};
}

}  // namespace

const OpDef& reshape_op() {
  static const OpDef def{
      .name = "reshape",
      .summary = "the same elements in row-major order under another shape",
      .inputs = {{"x", "any shape"}},
      .outputs = {{"y", "`shape`, a -1 inferred"}},
      .attrs = {{"shape", AttrKind::integers, "the result's shape; one -1 is inferred"}},
      .constraints = {{"C1", "at most one dimension may be -1 and none below"},
                      {"C2", "number of elements must stay the same"}},
      .infer = infer,
      .gradient = {[](const GradientContext& ctx) {
        return std::vector{ops::reshape(ctx.grads[0], ctx.inputs[0].shape(), {})};
      }},
      .reference =
          [](const ReferenceContext& ctx) {
            std::copy_n(ctx.inputs[0].data, ctx.inputs[0].type.bytes(), ctx.outputs[0].data);
          },
      .batch = batch,
      .rebatch = rebatch,
      .cost = [](const Node&) { return Cost{}; },
      .traits = {.may_alias = true, .view = true},
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value reshape(Value x, const Shape& shape, SourceLocation loc) {
  return x.graph().add(reshape_op(), {x}, {{"shape", shape.to_vector()}}, {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
