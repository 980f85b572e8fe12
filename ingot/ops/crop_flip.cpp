#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType& x = ctx.input(0);
  const TensorType& moves = ctx.input(1);
  ctx.require(x.shape.rank() == 4, "C1");
  ctx.require(moves.dtype == DType::i32 && moves.shape == Shape{x.shape[0], 3}, "C2");
  return {x};
}

void reference(const ReferenceContext& ctx) {
  const HostView& x = ctx.inputs[0];
  const HostView& moves = ctx.inputs[1];
  const Shape& shape = x.type.shape;
  for_each_index(shape, [&](std::int64_t flat, const auto& index) {
    const std::int64_t n = index[0];
    const std::int64_t mirrored =
        moves.get_int(3 * n + 2) != 0 ? shape[3] - 1 - index[3] : index[3];
    const std::int64_t h = index[2] + moves.get_int(3 * n);
    const std::int64_t w = mirrored + moves.get_int(3 * n + 1);
    if (h < 0 || h >= shape[2] || w < 0 || w >= shape[3]) {
      ctx.outputs[0].set(flat, 0);
    } else {
      copy_element(x, ((n * shape[1] + index[1]) * shape[2] + h) * shape[3] + w, ctx.outputs[0],
                   flat);
    }
  });
}

std::vector<BatchResult> batch(const Node&, std::span<const int> axes) {
  if (axes[0] < 0 && axes[1] < 0) return {{BatchKind::none, -1}};
  if (axes[0] == 0 && axes[1] == 0) return {{BatchKind::kept, 0}};
  return {{BatchKind::mixed, -1}};
}

std::vector<OpCase> cases() {
  const CaseInput pixels{{DType::u8, {5, 3, 6, 7}}, 0, 255};
  return {{"bytes", {pixels, {{DType::i32, {5, 3}}, -2, 2}}, {}, false},
          {"not mirrored", {pixels, {{DType::i32, {5, 3}}, 0, 0}}, {}, false},
          {"floats", {{{DType::f32, {4, 1, 8, 8}}}, {{DType::i32, {4, 3}}, -9, 9}}, {}, false},
          {"empty", {{{DType::f32, {0, 1, 8, 8}}}, {{DType::i32, {0, 3}}, 0, 0}}, {}, false}};
}

std::vector<BadCase> bad_cases() {
  return {{"rank",
           {{DType::u8, {2, 8, 8}}, {DType::i32, {2, 3}}},
           {},
           "C1",
           "crop_flip \"op\": images must have rank 4 [N, C, H, W], got u8[2,8,8], i32[2,3]"},
          {"moves",
           {{DType::u8, {2, 3, 8, 8}}, {DType::i32, {2, 2}}},
           {},
           "C2",
           "crop_flip \"op\": moves must be i32 [N, 3], got u8[2,3,8,8], i32[2,2]"}};
}

}  // namespace

const OpDef& crop_flip_op() {
  static const OpDef def{
      .name = "crop_flip",
      .summary = "images moved by whole pixels and mirrored left to right, each by its own amounts",
      .formula =
          "y[n,c,h,w] = x[n, c, h + moves[n,0], w' + moves[n,1]] with w' = W - 1 - w where "
          "moves[n,2] is not 0, else w; 0 outside",
      .inputs = {{"x", "[N, C, H, W]"}, {"moves", "i32 [N, 3]: down, right, mirror"}},
      .outputs = {{"y", "x's type"}},
      .constraints = {{"C1", "images must have rank 4 [N, C, H, W]"},
                      {"C2", "moves must be i32 [N, 3]"}},
      .infer = infer,
      .gradient = {.not_differentiable = "it prepares data"},
      .reference = reference,
      .batch = batch,
      .cost = [](const Node& node) { return streaming_cost(node, 0); },
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value crop_flip(Value x, Value moves, SourceLocation loc) {
  return x.graph().add(crop_flip_op(), {x, moves}, {}, {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
