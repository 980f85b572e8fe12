#include <algorithm>

#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

bool is_permutation_of(std::span<const std::int64_t> perm, int rank) {
  if (std::ssize(perm) != rank) return false;
  std::vector<bool> seen(perm.size(), false);
  for (const std::int64_t axis : perm) {
    if (axis < 0 || axis >= rank || seen[static_cast<std::size_t>(axis)]) return false;
    seen[static_cast<std::size_t>(axis)] = true;
  }
  return true;
}

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType& x = ctx.input(0);
  const auto& perm = ctx.integers("perm");
  ctx.require(is_permutation_of(perm, x.shape.rank()), "C1",
              [&] { return to_string(AttrValue(perm)) + " for " + x.to_string(); });
  Shape shape;
  for (const std::int64_t axis : perm) shape.push_back(x.shape[static_cast<int>(axis)]);
  return {{x.dtype, shape}};
}

void reference(const ReferenceContext& ctx) {
  const auto& perm = ctx.node.integers("perm");
  const auto strides = ctx.inputs[0].type.shape.strides();
  for_each_index(ctx.outputs[0].type.shape, [&](std::int64_t flat, const auto& index) {
    std::int64_t source = 0;
    for (std::size_t i = 0; i < perm.size(); ++i) {
      source += index[i] * strides[static_cast<std::size_t>(perm[i])];
    }
    copy_element(ctx.inputs[0], source, ctx.outputs[0], flat);
  });
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const auto& perm = ctx.node.integers("perm");
  std::vector<std::int64_t> inverse(perm.size());
  for (std::size_t i = 0; i < perm.size(); ++i) {
    inverse[static_cast<std::size_t>(perm[i])] = static_cast<std::int64_t>(i);
  }
  return {ops::transpose(ctx.grads[0], inverse, {})};
}

std::vector<BatchResult> batch(const Node& node, std::span<const int> axes) {
  if (axes[0] < 0) return {{BatchKind::none, -1}};
  const auto& perm = node.integers("perm");
  const auto at = std::find(perm.begin(), perm.end(), axes[0]) - perm.begin();
  return {{BatchKind::kept, static_cast<int>(at)}};
}

std::vector<OpCase> cases() {
  return {{"matrix", {{{DType::f32, {5, 7}}}}, {{"perm", {1, 0}}}},
          {"nchw_to_nhwc", {{{DType::f32, {2, 3, 4, 5}}}}, {{"perm", {0, 2, 3, 1}}}},
          {"rotate", {{{DType::f32, {2, 3, 4}}}}, {{"perm", {2, 0, 1}}}},
          {"identity", {{{DType::f32, {2, 3}}}}, {{"perm", {0, 1}}}},
          {"scalar", {{{DType::f32, {}}}}, {{"perm", std::vector<std::int64_t>{}}}},
          {"integers", {{{DType::i64, {3, 2}}, -9, 9}}, {{"perm", {1, 0}}}},
          {"empty", {{{DType::f32, {0, 3}}}}, {{"perm", {1, 0}}}}};
}

std::vector<BadCase> bad_cases() {
  return {{"twice",
           {{DType::f32, {2, 3}}},
           {{"perm", {0, 0}}},
           "C1",
           "transpose \"op\": perm must name every axis once, got [0,0] for f32[2,3]"},
          {"too short",
           {{DType::f32, {2, 3}}},
           {{"perm", {0}}},
           "C1",
           "transpose \"op\": perm must name every axis once, got [0] for f32[2,3]"},
          {"out of range",
           {{DType::f32, {2, 3}}},
           {{"perm", {1, 2}}},
           "C1",
           "transpose \"op\": perm must name every axis once, got [1,2] for f32[2,3]"}};
}

}  // namespace

const OpDef& transpose_op() {
  static const OpDef def{
      .name = "transpose",
      .summary = "reorders the axes",
      .formula = "axis i of y is axis perm[i] of x",
      .inputs = {{"x", "any shape"}},
      .outputs = {{"y", "x's dimensions in the order of `perm`"}},
      .attrs = {{"perm", AttrKind::integers, "the operand's axes in the result's order"}},
      .constraints = {{"C1", "perm must name every axis once"}},
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = batch,
      .cost = [](const Node& node) { return streaming_cost(node, 0); },
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value transpose(Value x, std::vector<std::int64_t> perm, SourceLocation loc) {
  return x.graph().add(transpose_op(), {x}, {{"perm", std::move(perm)}}, {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
