// What each kernel for maps, moves, reductions, pools and updates says of a Node that it refuses.
#include <gtest/gtest.h>

#include "ingot/ir/core_ops.h"
#include "ingot/ops/reduction.h"
#include "tests/backends/support/cuda_source_refusals.h"

namespace ingot {
namespace {

using testing_support::expect_refusals;
using testing_support::refusal;

const std::string kNoStrides = "an operand's layout has no strides";
const std::string kNoVectors = "its channels do not divide into vectors";
const std::string kReduces = "it reduces";
const std::string kProducer = "its producer runs apart";
const std::string kNotPlain = "its layouts are not plain";

const std::string kPool = "%y = max_pool2d(%0) {kernel=[2,2]} ";
const std::string kPoolGrad = "%y = max_pool2d_grad(%0, %1, %2) {kernel=[2,2], stride=[2,2]} ";
const std::vector<std::string> kPoolOperands{"f32[2,4,4,4]", "f32[2,4,2,2]", "f32[2,4,2,2]"};

TEST(CudaRefusals, OfConversions) {
  const std::vector<std::string> floats{"f32[4,8]", "f32[16]"};
  const auto casts = [](const std::string& first, const std::string& second) {
    return "%x = cast(%0) {dtype=" + first + "} %y = cast(%1) {dtype=" + second + "}";
  };
  const std::vector<std::string> both{"x", "y"};
  expect_refusals(
      "conversions",
      {{"", {floats, casts("bf16", "bf16"), both}},
       {"it does more than convert several tensors", {floats, "%y = relu(%0)", {"y"}}},
       {"it does more than convert several tensors", {floats, casts("bf16", "bf16"), {"x"}}},
       {"its layouts differ",
        {floats, "%x = cast(%0) {dtype=bf16} -> bf16[4,8]@ba %y = cast(%1) {dtype=bf16}", both}},
       {"its dtypes differ", {floats, casts("bf16", "f16"), both}},
       {"its dtypes differ", {{"f32[4,8]", "bf16[16]"}, casts("f16", "f16"), both}},
       {"no vectors convert i32 to f32", {{"i32[4,8]", "i32[16]"}, casts("f32", "f32"), both}},
       {"no vectors convert f32 to f64", {floats, casts("f64", "f64"), both}}});
}

TEST(CudaRefusals, OfMaps) {
  const std::string plain = "f32[2,4,4,4]";
  expect_refusals("map",
                  {{"", {{plain + "@acdb"}, "%y = relu(%0)"}},
                   {"its results are not plain", {{plain}, "%y = relu(%0) -> f32[2,4,4,4]@acdb"}},
                   {kNoStrides, {{plain + "@aBcd4b"}, "%y = relu(%0)"}},
                   {kReduces, {{plain}, "%y = relu(%0) %z = sum(%y) {axes=[1]}", {"z"}}},
                   {"matmul does not give its elements one by one",
                    {{"f32[4,8]", "f32[8,5]"}, "%y = matmul(%0, %1) %z = relu(%y)", {"z"}}},
                   {kNotPlain, {{plain + "@acdb"}, kPool}},
                   {kNotPlain, {{plain}, kPool + "-> f32[2,4,3,3]@acdb"}}});
}

TEST(CudaRefusals, OfChainsOfMoves) {
  const std::string chain =
      "%y = relu(%0) %z = pad(%y) {low=[0,0,1,1], high=[0,0,1,1], interior=[0,0,0,0]} ";
  expect_refusals("gather map",
                  {{"", {{"f32[2,3,4,4]"}, chain, {"z"}}},
                   {"", {{"f32[2,4,4,4]"}, chain + "-> f32[2,4,6,6]@acdb", {"z"}}},
                   {"it is no chain of moves", {{"f32[2,3,4,4]"}, "%y = relu(%0)", {"y"}}},
                   {kNoVectors, {{"f32[2,3,4,4]"}, chain + "-> f32[2,3,6,6]@acdb", {"z"}}}});
}

TEST(CudaRefusals, OfVectorMaps) {
  const std::string image = "f32[2,8,4,4]@acdb";
  const std::string relu = "%y = relu(%0) -> f32[2,8,4,4]@acdb ";
  const std::string wide = "%y = cast(%0) {dtype=f32} -> f32[2,8,4,4]@acdb";
  expect_refusals(
      "vector map",
      {{"", {{image}, relu}},
       {kReduces, {{image}, relu + "%z = sum(%y) {axes=[0,2,3]}", {"z"}}},
       {kProducer, {{image}, kPool + "-> f32[2,8,3,3]@acdb %z = relu(%y)", {"z"}}},
       {kNoVectors,
        {{"f32[2,3,4,4]@acdb", "f32[1,3,1,1]"}, "%y = add(%0, %1) -> f32[2,3,4,4]@acdb"}},
       {"it is plain and small", {{"f32[4,8]"}, "%y = relu(%0)"}},
       {"a smaller result is not plain",
        {{image, "f32[1,8,1,1]"}, relu + "%z = relu(%1) -> f32[1,8,1,1]@acdb", {"y", "z"}}},
       {"no vectors hold a result of i32[2,8,4,4]",
        {{image}, "%y = cast(%0) {dtype=i32} -> i32[2,8,4,4]@acdb"}},
       {"no vectors hold a result of f32[2,8,4,4]",
        {{image}, relu + "%z = relu(%0) -> f32[2,8,4,4]@acbd", {"y", "z"}}},
       {"no vectors hold an operand of i32[2,8,4,4]", {{"i32[2,8,4,4]@acdb"}, wide}},
       {"no vectors hold an operand of bf16[2,8,4,4]", {{"bf16[2,8,4,4]@aBcd8b"}, wide}}});
}

TEST(CudaRefusals, OfReductions) {
  const std::string sum = "%s = sum(%0) {axes=[0,2,3]}";
  const std::string pooled = kPool + "%s = sum(%y) {axes=[0]}";
  expect_refusals("reduce", {{"", {{"f32[2,8,4,4]"}, sum}},
                             {kNotPlain, {{"f32[2,8,4,4]@acdb"}, sum}},
                             {"it does not reduce", {{"f32[4,8]"}, "%y = relu(%0)", {"y"}}},
                             {kProducer, {{"f32[2,8,4,4]"}, pooled, {"s"}}},
                             {"it reduces i64", {{"i64[2,8,4,4]"}, sum}}});
  expect_refusals(
      "vector reduce",
      {{"", {{"f32[2,8,4,4]@acdb"}, sum}},
       {"it does not reduce", {{"f32[4,8]"}, "%y = relu(%0)", {"y"}}},
       {kNoVectors, {{"f32[2,3,4,4]@acdb"}, sum}},
       {"it reduces other axes than the rows", {{"f32[2,8,4,4]@acdb"}, "%s = sum(%0) {axes=[1]}"}},
       {"it is plain and small", {{"f32[4,8]"}, "%s = sum(%0) {axes=[0]}"}}});
}

/// Any op whose record says that it reduces.
TEST(CudaRefusals, OfReductionsThatNoKernelKnows) {
  const OpDef spread = reduction_record({.name = "test.spread", .summary = "max - min over axes"});
  const TensorType type{DType::f32, {4, 8}};
  auto body = std::make_unique<Graph>();
  body->fetch("y", ops::add_reduction(spread, body->argument(0, type), {0}, false, {}));
  Graph graph;
  const Node& region =
      *graph.add_region(fused_op(), {graph.placeholder("x", type)}, std::move(body));
  for (const char* kernel : {"reduce", "vector reduce"}) {
    EXPECT_EQ(refusal(kernel, region), "test.spread is not a sum, maximum or moment");
  }
}

TEST(CudaRefusals, OfRows) {
  expect_refusals("rows",
                  {{"", {{"bf16[4,8]"}, "%y = softmax(%0)"}},
                   {kNotPlain, {{"f32[4,8]@ba"}, "%y = softmax(%0)"}},
                   {"its f64 terms would be summed in f32", {{"f64[4,8]"}, "%y = softmax(%0)"}}});
}

TEST(CudaRefusals, OfVectorPools) {
  const std::string image = "f32[2,8,4,4]@acdb";
  expect_refusals("vector pool",
                  {{"", {{image}, kPool + "-> f32[2,8,3,3]@acdb"}},
                   {"it is plain", {{"f32[2,8,4,4]"}, kPool}},
                   {"its layouts differ", {{image}, kPool + "-> f32[2,8,3,3]@acbd"}},
                   {"no vectors hold f64", {{"f64[2,8,4,4]@acdb"}, kPool + "-> f64[2,8,3,3]@acdb"}},
                   {kNoVectors, {{"f32[2,3,4,4]@acdb"}, kPool + "-> f32[2,3,3,3]@acdb"}},
                   {kNoVectors, {{"f32[2,3,4,4]@acdB8b"}, kPool + "-> f32[2,3,3,3]@acdB8b"}},
                   {kNoVectors, {{"f32[2,8,4,4]@acbd"}, kPool + "-> f32[2,8,3,3]@acbd"}}});
}

TEST(CudaRefusals, OfPoolTiles) {
  const auto all = [](const std::string& x, const std::string& y) {
    return std::vector<std::string>{x + "@acdb", y + "@acdb", y + "@acdb"};
  };
  expect_refusals("pool tiles",
                  {{"", {all("f32[2,4,4,4]", "f32[2,4,2,2]"), kPoolGrad + "-> f32[2,4,4,4]@acdb"}},
                   {"it is plain", {kPoolOperands, kPoolGrad}},
                   {"a pixel's windows do not fit a block's memory",
                    {all("f32[1,8,65,65]", "f32[1,8,33,33]"),
                     "%y = max_pool2d_grad(%0, %1, %2) {kernel=[33,33]} -> f32[1,8,65,65]@acdb"}}});
}

TEST(CudaRefusals, OfPlanes) {
  expect_refusals(
      "planes",
      {{"", {kPoolOperands, kPoolGrad}},
       {"", {kPoolOperands, kPoolGrad + "%z = relu(%y)", {"z"}}},
       {"it is no gradient of a maximum's windows", {{"f32[4,8]"}, "%y = relu(%0)", {"y"}}},
       {"it is no gradient of a maximum's windows", {{"f32[2,4,4,4]"}, kPool, {"y"}}},
       {kReduces, {kPoolOperands, kPoolGrad + "%s = sum(%y) {axes=[0]}", {"s"}}},
       {kNotPlain, {kPoolOperands, kPoolGrad + "-> f32[2,4,4,4]@acdb"}},
       {"its windows have gaps",
        {{"f32[1,1,8,8]", "f32[1,1,6,7]", "f32[1,1,6,7]"},
         "%y = max_pool2d_grad(%0, %1, %2) {kernel=[2,2], dilation=[2,1]}"}},
       {"its planes are too large",
        {{"f32[1,1,256,256]", "f32[1,1,128,128]", "f32[1,1,128,128]"}, kPoolGrad}},
       {"its planes are too large",
        {{"f32[1,1,130,130]", "f32[1,1,129,129]", "f32[1,1,129,129]"},
         "%y = max_pool2d_grad(%0, %1, %2) {kernel=[2,2]}"}},
       {"a result has another shape",
        {kPoolOperands, kPoolGrad + "%z = broadcast_to(%y) {shape=[3,2,4,4,4]}", {"z"}}}});
}

TEST(CudaRefusals, OfUpdates) {
  const std::string update =
      "%u = optimizer_update(%0, %1) {rule=expr(2)\"x0 - x1\", num_scalars=0, num_states=0} ";
  const std::vector<std::string> operands{"f32[4,8]", "f32[4,8]"};
  const std::string low = "%c = cast(%u) {dtype=bf16} ";
  const std::string no_update = "it is no update with copies of its results";
  expect_refusals(
      "optimizer",
      {{"", {operands, update}},
       {"", {operands, update + low, {"u", "c"}}},
       {no_update, {operands, "%y = relu(%0)", {"y"}}},
       {no_update, {operands, update + low, {"c"}}},
       {no_update, {operands, update + low + "%d = cast(%u) {dtype=f16}", {"u", "c", "d"}}},
       {"a tensor's operands lie in different layouts", {{"f32[4,8]@ba", "f32[4,8]"}, update}},
       {"a gradient of f64 updates a parameter of f32", {{"f32[4,8]", "f64[4,8]"}, update}},
       {"a gradient of bf16 updates a parameter of f64", {{"f64[4,8]", "bf16[4,8]"}, update}},
       {"a copy lies in another layout", {operands, update + low + "-> bf16[4,8]@ba", {"u", "c"}}},
       {"no vectors copy f32 as i32", {operands, update + "%c = cast(%u) {dtype=i32}", {"u", "c"}}},
       {"no vectors copy bf16 as f16",
        {{"bf16[4,8]", "bf16[4,8]"}, update + "%c = cast(%u) {dtype=f16}", {"u", "c"}}}});
}

}  // namespace
}  // namespace ingot
