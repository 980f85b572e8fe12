#include <fmt/core.h>

#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  return {{ctx.attr<DType>("dtype"), ctx.input(0).shape}};
}

void reference(const ReferenceContext& ctx) {
  const HostView& x = ctx.inputs[0];
  const HostView& y = ctx.outputs[0];
  // Doubles hold every value but those of i64 beyond 2^53.
  const bool exact = x.type.dtype == DType::i64 && y.type.dtype == DType::i64;
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    if (exact) {
      y.set_int(i, x.get_int(i));
    } else {
      y.set(i, x.get(i));
    }
  }
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const DType dtype = ctx.inputs[0].dtype();
  if (!is_float(dtype) || !is_float(ctx.outputs[0].dtype())) return {Value{}};
  return {ops::cast(ctx.grads[0], dtype, {})};
}

std::vector<OpCase> cases() {
  return {{"widen", {{{DType::f32, {3, 5}}}}, {{"dtype", DType::f64}}},
          {"same", {{{DType::f64, {7}}}}, {{"dtype", DType::f64}}},
          {"to_bf16", {{{DType::f32, {4, 9}}, -300, 300}}, {{"dtype", DType::bf16}}, false},
          {"to_f16", {{{DType::f32, {4, 9}}, -9e4, 9e4}}, {{"dtype", DType::f16}}, false},
          {"truncate", {{{DType::f32, {33}}, -9, 9}}, {{"dtype", DType::i32}}, false},
          {"saturate", {{{DType::i32, {33}}, -900, 900}}, {{"dtype", DType::u8}}, false},
          {"from_integer", {{{DType::i32, {2, 3}}, -9, 9}}, {{"dtype", DType::f32}}, false},
          {"from_bool", {{{DType::boolean, {6}}, 0, 1}}, {{"dtype", DType::f32}}, false},
          {"to_bool", {{{DType::i32, {6}}, -1, 1}}, {{"dtype", DType::boolean}}, false},
          {"empty", {{{DType::f32, {0, 4}}}}, {{"dtype", DType::i64}}, false}};
}

}  // namespace

const OpDef& cast_op() {
  static const OpDef def{
      .name = "cast",
      .summary =
          "converts to another dtype: floats round to nearest even; integers truncate, "
          "saturate and take NaN to 0; bool is x != 0",
      .inputs = {{"x", "any shape"}},
      .outputs = {{"y", "x's shape, of `dtype`"}},
      .attrs = {{"dtype", AttrKind::dtype, "the result's dtype"}},
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = elementwise_batch,
      .cost = [](const Node& node) { return streaming_cost(node, 0); },
      .cases = cases};
  return def;
}

namespace ops {

Value cast(Value x, DType dtype, SourceLocation loc) {
  if (x.dtype() == dtype) return x;
  return x.graph().add(cast_op(), {x}, {{"dtype", dtype}}, {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
