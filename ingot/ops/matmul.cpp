#include <fmt/core.h>

#include "ingot/ops/common.h"
#include "ingot/ops/contraction_tolerance.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

/// Positions of the rows, columns and inner dimension among the last two axes of both operands.
struct Axes {
  int a_row, a_inner, b_inner, b_column;
};

Axes axes_of(int rank, bool transpose_a, bool transpose_b) {
  const int first = rank - 2;
  const int second = rank - 1;
  return {transpose_a ? second : first, transpose_a ? first : second, transpose_b ? second : first,
          transpose_b ? first : second};
}

Axes axes_of(const Node& node) {
  return axes_of(node.input_type(0).shape.rank(), node.attr<bool>("transpose_a"),
                 node.attr<bool>("transpose_b"));
}

std::vector<TensorType> infer(const InferContext& ctx) {
  const TensorType& a = ctx.input(0);
  const TensorType& b = ctx.input(1);
  const bool transpose_a = ctx.attr<bool>("transpose_a");
  const bool transpose_b = ctx.attr<bool>("transpose_b");
  const int rank = a.shape.rank();
  ctx.require(a.dtype == b.dtype && is_float(a.dtype), "C1");
  ctx.require(rank == b.shape.rank() && rank >= 2 && rank <= 4, "C2");
  check_math(ctx);
  Shape shape;
  for (int axis = 0; axis < rank - 2; ++axis) {
    ctx.require(a.shape[axis] == b.shape[axis], "C3");
    shape.push_back(a.shape[axis]);
  }
  const Axes axes = axes_of(rank, transpose_a, transpose_b);
  ctx.require(a.shape[axes.a_inner] == b.shape[axes.b_inner], "C4", [&] {
    return fmt::format("{}{} by {}{}", a.to_string(), transpose_a ? " transposed" : "",
                       b.to_string(), transpose_b ? " transposed" : "");
  });
  shape.push_back(a.shape[axes.a_row]);
  shape.push_back(b.shape[axes.b_column]);
  return {{a.dtype, shape}};
}

void reference(const ReferenceContext& ctx) {
  const HostView& a = ctx.inputs[0];
  const HostView& b = ctx.inputs[1];
  const Axes axes = axes_of(ctx.node);
  const Shape& shape = ctx.outputs[0].type.shape;
  const int rank = shape.rank();
  const auto a_strides = a.type.shape.strides();
  const auto b_strides = b.type.shape.strides();
  const auto at = [](const auto& strides, int axis) {
    return strides[static_cast<std::size_t>(axis)];
  };
  const std::int64_t inner = a.type.shape[axes.a_inner];
  for_each_index(shape, [&](std::int64_t flat, const auto& index) {
    std::int64_t i = at(index, rank - 2) * at(a_strides, axes.a_row);
    std::int64_t j = at(index, rank - 1) * at(b_strides, axes.b_column);
    for (int axis = 0; axis < rank - 2; ++axis) {
      i += at(index, axis) * at(a_strides, axis);
      j += at(index, axis) * at(b_strides, axis);
    }
    double total = 0;
    for (std::int64_t k = 0; k < inner; ++k) {
      total +=
          a.get(i + k * at(a_strides, axes.a_inner)) * b.get(j + k * at(b_strides, axes.b_inner));
    }
    ctx.outputs[0].set(flat, total);
  });
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const auto& math = ctx.node.attr<std::string>("math");
  const bool ta = ctx.node.attr<bool>("transpose_a");
  const bool tb = ctx.node.attr<bool>("transpose_b");
  const Value a = ctx.inputs[0];
  const Value b = ctx.inputs[1];
  const Value g = ctx.grads[0];
  const auto product = [&](Value left, Value right, bool transpose_left, bool transpose_right) {
    return ops::matmul(left, right, {transpose_left, transpose_right, math}, {});
  };
  return {ta ? product(b, g, tb, true) : product(g, b, false, !tb),
          tb ? product(g, a, true, ta) : product(a, g, !ta, false)};
}

std::vector<BatchResult> batch(const Node& node, std::span<const int> input_axes) {
  const int a = input_axes[0];
  const int b = input_axes[1];
  const int rank = node.output_type().shape.rank();
  const Axes axes = axes_of(node);
  if (a < 0 && b < 0) return {{BatchKind::none, -1}};
  if (a == b && a < rank - 2) return {{BatchKind::kept, a}};
  if (a == axes.a_inner && b == axes.b_inner) return {{BatchKind::reduced, -1}};
  if (a == axes.a_row && b < 0) return {{BatchKind::kept, rank - 2}};
  if (b == axes.b_column && a < 0) return {{BatchKind::kept, rank - 1}};
  return {{BatchKind::mixed, -1}};
}

std::int64_t inner_length(const Node& node) {
  return node.input_type(0).shape[axes_of(node).a_inner];
}

Cost cost(const Node& node) {
  return streaming_cost(node, 2.0 * static_cast<double>(inner_length(node)));
}

std::vector<OpCase> cases() {
  const auto make = [](std::string name, Shape a, Shape b, bool ta, bool tb) {
    return OpCase{std::move(name),
                  {{{DType::f32, a}}, {{DType::f32, b}}},
                  {{"transpose_a", ta}, {"transpose_b", tb}}};
  };
  return {make("plain", {5, 7}, {7, 3}, false, false),
          make("transpose_a", {7, 5}, {7, 3}, true, false),
          make("transpose_b", {5, 7}, {3, 7}, false, true),
          make("transpose_both", {7, 5}, {3, 7}, true, true),
          make("batched", {2, 3, 4}, {2, 4, 5}, false, false),
          make("batched_transpose_b", {2, 3, 4}, {2, 5, 4}, false, true),
          make("batched_transpose_a", {2, 4, 3}, {2, 4, 5}, true, false),
          make("heads", {2, 2, 3, 4}, {2, 2, 4, 3}, false, false),
          make("heads_transpose_both", {2, 2, 4, 3}, {2, 2, 3, 4}, true, true),
          make("vector", {1, 33}, {33, 1}, false, false),
          make("odd", {17, 19}, {19, 13}, false, false),
          make("square", {6, 16}, {16, 16}, false, false),
          make("empty_inner", {3, 0}, {0, 2}, false, false),
          make("empty_rows", {0, 3}, {3, 2}, false, false)};
}

std::vector<BadCase> bad_cases() {
  return {{"dtypes differ",
           {{DType::f32, {2, 3}}, {DType::f64, {3, 2}}},
           {},
           "C1",
           "matmul \"op\": operands must have one floating-point dtype, got f32[2,3], f64[3,2]"},
          {"integers",
           {{DType::i32, {2, 3}}, {DType::i32, {3, 2}}},
           {},
           "C1",
           "matmul \"op\": operands must have one floating-point dtype, got i32[2,3], i32[3,2]"},
          {"vector",
           {{DType::f32, {8}}, {DType::f32, {8, 2}}},
           {},
           "C2",
           "matmul \"op\": operands must have one rank from 2 to 4, got f32[8], f32[8,2]"},
          {"batches differ",
           {{DType::f32, {2, 3, 4}}, {DType::f32, {3, 4, 5}}},
           {},
           "C3",
           "matmul \"op\": batch dimensions must be equal, got f32[2,3,4], f32[3,4,5]"},
          {"inner differ",
           {{DType::f32, {32, 8}}, {DType::f32, {2, 8}}},
           {},
           "C4",
           "matmul \"op\": inner dimensions must be equal, got f32[32,8] by f32[2,8]"},
          {"inner differ transposed",
           {{DType::f32, {32, 8}}, {DType::f32, {8, 2}}},
           {{"transpose_b", true}},
           "C4",
           "matmul \"op\": inner dimensions must be equal, got f32[32,8] by f32[8,2] transposed"},
          math_bad_case("matmul", {{DType::f32, {2, 3}}, {DType::f32, {3, 2}}}, {})};
}

}  // namespace

const OpDef& matmul_op() {
  static const OpDef def{
      .name = "matmul",
      .summary = "matrix product over the last two axes, for each item of the leading axes",
      .formula = "y[...,m,n] = sum over k of a[...,m,k] b[...,k,n]",
      .inputs = {{"a", "[...,M,K], or [...,K,M] with transpose_a"},
                 {"b", "[...,K,N], or [...,N,K] with transpose_b"}},
      .outputs = {{"y", "[...,M,N]"}},
      .attrs = {{"transpose_a", AttrKind::boolean, "a is given as [...,K,M]", AttrValue(false)},
                {"transpose_b", AttrKind::boolean, "b is given as [...,N,K]", AttrValue(false)},
                math_attr()},
      .constraints = {{"C1", "operands must have one floating-point dtype",
                       "convert one with cast"},
                      {"C2", "operands must have one rank from 2 to 4",
                       "reshape or broadcast one operand"},
                      {"C3", "batch dimensions must be equal", "broadcast one with broadcast_to"},
                      {"C4", "inner dimensions must be equal",
                       "transpose_a and transpose_b say which way an operand is stored"},
                      math_constraint()},
      .infer = infer,
      .gradient = {gradient},
      .reference = reference,
      .batch = batch,
      .cost = cost,
      .traits = {.contraction = true},
      .scaled_operand = [](const Node& node) -> ScaledOperand {
        return {1, axes_of(node).b_column, node.output_type().shape.rank() - 1};
      },
      .reduction_length = inner_length,
      .tolerance = contraction_tolerance,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value matmul(Value a, Value b, const MatmulOptions& options, SourceLocation loc) {
  return a.graph()
      .add(matmul_op(), {a, b},
           {{"transpose_a", options.transpose_a},
            {"transpose_b", options.transpose_b},
            {"math", options.math}},
           {}, loc)
      ->output();
}

Value matmul(Value a, Value b, bool transpose_a, bool transpose_b, SourceLocation loc) {
  return matmul(a, b, {transpose_a, transpose_b}, loc);
}

}  // namespace ops
}  // namespace ingot
