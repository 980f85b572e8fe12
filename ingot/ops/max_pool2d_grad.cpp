#include <algorithm>

#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"
#include "ingot/ops/pool2d.h"

namespace ingot {
namespace {

std::vector<TensorType> infer(const InferContext& ctx) {
  const Pool2dShape shape = check_pool2d(ctx, ctx.input(0).shape, true);
  check_pooled_operand(ctx, 1, shape);
  check_pooled_operand(ctx, 2, shape);
  return {ctx.input(0)};
}

void reference(const ReferenceContext& ctx) {
  const std::vector<double> x = read_all(ctx.inputs[0]);
  const std::vector<double> g = read_all(ctx.inputs[2]);
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::vector<std::size_t> winner(g.size(), kNone);
  for_each_pool2d_tap(pool2d_shape(ctx.node), [&](std::size_t yi, std::size_t xi) {
    std::size_t& best = winner[yi];
    if (best == kNone || (!(x[xi] <= x[best]) && x[best] == x[best])) best = xi;
  });
  std::vector<double> dx(x.size(), 0.0);
  for (std::size_t yi = 0; yi < g.size(); ++yi) dx[winner[yi]] += g[yi];
  write_all(ctx.outputs[0], dx);
}

std::vector<BatchResult> batch(const Node&, std::span<const int> axes) {
  const auto all = [&](int axis) {
    return std::all_of(axes.begin(), axes.end(), [&](int a) { return a == axis; });
  };
  if (all(-1)) return {{BatchKind::none, -1}};
  if (all(0)) return {{BatchKind::kept, 0}};
  return {{BatchKind::mixed, -1}};
}

std::vector<OpCase> cases() {
  const auto operands = [](const Shape& x, const Shape& y) {
    return std::vector<CaseInput>{{{DType::f32, x}}, {{DType::f32, y}}, {{DType::f32, y}}};
  };
  return {{"2x2", operands({2, 3, 8, 8}, {2, 3, 4, 4}), {{"kernel", {2, 2}}, {"stride", {2, 2}}}},
          {"stem",
           operands({2, 8, 9, 9}, {2, 8, 5, 5}),
           {{"kernel", {3, 3}}, {"stride", {2, 2}}, {"padding", {1, 1, 1, 1}}}},
          {"overlapping", operands({1, 4, 7, 6}, {1, 4, 5, 5}), {{"kernel", {3, 2}}}},
          {"rest unread",
           operands({1, 2, 7, 9}, {1, 2, 2, 2}),
           {{"kernel", {2, 2}}, {"stride", {3, 4}}}},
          {"dilated",
           operands({1, 3, 8, 8}, {1, 3, 5, 4}),
           {{"kernel", {2, 3}}, {"dilation", {3, 2}}}}};
}

std::vector<BadCase> bad_cases() {
  const TensorType x{DType::f32, {2, 3, 8, 8}};
  const TensorType y{DType::f32, {2, 3, 4, 4}};
  const AttrList attrs{{"kernel", {2, 2}}, {"stride", {2, 2}}};
  std::vector<BadCase> bad{
      {"rank 3",
       {{DType::f32, {3, 8, 8}}, y, y},
       attrs,
       "C2",
       "max_pool2d_grad \"op\": input must have rank 4 [N, C, H, W], got [3,8,8]"},
      {"result's shape",
       {x, {DType::f32, {2, 3, 5, 5}}, y},
       attrs,
       "C5",
       "max_pool2d_grad \"op\": pooled operands must have the type of the pool's result, got "
       "f32[2,3,5,5] for f32[2,3,4,4]"},
      {"gradient's dtype",
       {x, y, {DType::f64, {2, 3, 4, 4}}},
       attrs,
       "C5",
       "max_pool2d_grad \"op\": pooled operands must have the type of the pool's result, got "
       "f64[2,3,4,4] for f32[2,3,4,4]"}};
  const auto add = [&bad](std::string name, std::vector<TensorType> inputs, AttrList attributes,
                          std::string_view id, const std::string& text) {
    bad.push_back({std::move(name), std::move(inputs), std::move(attributes), id,
                   "max_pool2d_grad \"op\": " + text});
  };
  add("integers", {{DType::u8, {2, 3, 8, 8}}, y, y}, attrs, "C1",
      "operands must be floating point, got u8[2,3,8,8], f32[2,3,4,4], f32[2,3,4,4]");
  add("three kernel sizes", {x, y, y}, {{"kernel", {2, 2, 2}}}, "C3",
      "kernel must be two numbers of at least 1, got kernel [2,2,2]");
  add("window of padding", {x, y, y}, {{"kernel", {2, 2}}, {"padding", {0, 0, 0, 2}}}, "C4",
      "every window must hold an element of the input, got kernel [2,2], padding [0,0,0,2] on "
      "[2,3,8,8]");
  add("kernel too large", {x, y, y}, {{"kernel", {2, 9}}}, "W5",
      "kernel must fit into the padded input, got kernel 2x9 on padded input 8x8");
  for (BadCase& item : window_bad_cases("max_pool2d_grad", {x, y, y}, attrs)) {
    bad.push_back(std::move(item));
  }
  return bad;
}

}  // namespace

const OpDef& max_pool2d_grad_op() {
  static const OpDef def{
      .name = "max_pool2d_grad",
      .summary = "gradient of max_pool2d: each window's gradient goes to its first maximum",
      .formula = "dx[x] = sum of g over the windows whose first maximum in row-major order is x",
      .inputs = {{"x", "[N, C, H, W]"},
                 {"y", "max_pool2d(x); what it holds never changes the result"},
                 {"g", "y's gradient"}},
      .outputs = {{"dx", "x's shape"}},
      .attrs = pool2d_attrs({}, true),
      .constraints = pool2d_constraints("input must have rank 4 [N, C, H, W]", true, true),
      .infer = infer,
      .gradient = {nullptr, "max pooling can be differentiated once"},
      .reference = reference,
      .batch = batch,
      .cost = pool2d_cost,
      .reduction_length = pool2d_taps,
      .cases = cases,
      .bad_cases = bad_cases};
  return def;
}

namespace ops {

Value max_pool2d_grad(Value x, Value y, Value g, const MaxPool2dOptions& options,
                      SourceLocation loc) {
  return x.graph().add(max_pool2d_grad_op(), {x, y, g}, to_attrs(options), {}, loc)->output();
}

}  // namespace ops
}  // namespace ingot
