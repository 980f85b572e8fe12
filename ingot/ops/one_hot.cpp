#include <fmt/core.h>

#include <algorithm>

#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType& labels = ctx.input(0);
  const std::int64_t depth = ctx.integer("depth");
  ctx.require(labels.dtype == DType::i32 || labels.dtype == DType::i64, "C1");
  ctx.require(depth > 0, "C2", [&] { return fmt::format("{}", depth); });
  ctx.require(labels.shape.rank() < Shape::kMaxRank, "C3");
  Shape shape = labels.shape;
  shape.push_back(depth);
  return {{ctx.attr<DType>("dtype"), shape}};
}

void reference(const ReferenceContext& ctx) {
  const std::int64_t depth = ctx.node.integer("depth");
  for (std::int64_t i = 0; i < ctx.inputs[0].numel(); ++i) {
    const std::int64_t label = ctx.inputs[0].get_int(i);
    if (label < 0 || label >= depth) latch_error(ctx, "C4", label, i);
    const std::int64_t hot = std::clamp<std::int64_t>(label, 0, depth - 1);
    for (std::int64_t k = 0; k < depth; ++k) {
      ctx.outputs[0].set_int(i * depth + k, k == hot ? 1 : 0);
    }
  }
}

std::vector<BatchResult> batch(const Node&, std::span<const int> axes) {
  return {{axes[0] < 0 ? BatchKind::none : BatchKind::kept, axes[0]}};
}

std::vector<OpCase> cases() {
  return {{"labels", {{{DType::i32, {7}}, 0, 4}}, {{"depth", 5}}},
          {"mask", {{{DType::i64, {2, 3}}, 0, 9}}, {{"depth", 10}, {"dtype", DType::boolean}}},
          {"scalar", {{{DType::i32, {}}, 0, 2}}, {{"depth", 3}, {"dtype", DType::i32}}},
          {"one class", {{{DType::i32, {3}}, 0, 0}}, {{"depth", 1}}},
          {"empty", {{{DType::i32, {0}}, 0, 0}}, {{"depth", 3}}}};
}

std::vector<BadCase> bad_cases() {
  return {{"float labels",
           {{DType::f32, {4}}},
           {{"depth", 3}},
           "C1",
           "one_hot \"op\": labels must be i32 or i64, got f32[4]"},
          {"no depth",
           {{DType::i32, {4}}},
           {{"depth", 0}},
           "C2",
           "one_hot \"op\": depth must be positive, got 0"},
          {"rank",
           {{DType::i32, {1, 1, 1, 1, 1, 1, 1, 1}}},
           {{"depth", 2}},
           "C3",
           "one_hot \"op\": labels must have a rank below 8, got i32[1,1,1,1,1,1,1,1]"}};
}

}  // namespace

const OpDef& one_hot_op() {
  static const OpDef def{
      .name = "one_hot",
      .summary = "1 at the label, 0 elsewhere, along a new last axis",
      .formula = "y[...,k] = labels[...] == k",
      .inputs = {{"labels", "i32 or i64, rank below 8, values in 0 ... depth-1"}},
      .outputs = {{"y", "labels' shape with `depth` appended"}},
      .attrs = {{"depth", AttrKind::integer, "number of classes"},
                {"dtype", AttrKind::dtype, "the result's dtype", AttrValue(DType::f32)}},
      .constraints = {{"C1", "labels must be i32 or i64", "convert them with cast"},
                      {"C2", "depth must be positive"},
                      {"C3", "labels must have a rank below 8"},
                      {"C4", "labels must be at least 0 and below the number of classes"}},
      .infer = infer,
      .gradient = {[](const GradientContext&) { return std::vector{Value{}}; }},
      .reference = reference,
      .batch = batch,
      .cost = [](const Node& node) { return streaming_cost(node, 1); },
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value one_hot(Value labels, std::int64_t depth, DType dtype, SourceLocation loc) {
  return labels.graph()
      .add(one_hot_op(), {labels}, {{"depth", depth}, {"dtype", dtype}}, {}, loc)
      ->output();
}

}  // namespace ops
}  // namespace ingot
