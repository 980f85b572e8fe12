// Text of elements: what generated kernels need not compute.
#include <gtest/gtest.h>

#include <span>
#include <string>

#include "ingot/backends/cuda/kernels/element.h"
#include "ingot/ir/scalar.h"
#include "ingot/ops/ops.h"

namespace ingot::cuda {
namespace {

/// Text for an element of `value`, given that of `known` in variable x.
std::string text_of(const Value& value, const Value& known) {
  Region region;
  std::string code;
  ElementWriter writer(code, region, {value.shape(), {}, {}});
  writer.bind(known, "x");
  writer.value(value);
  return code;
}

/// a > 0
Value above_zero(const Value& a) {
  const std::string name = "a";
  const auto program = ScalarProgram::parse("a > 0", std::span(&name, 1));
  return ops::build_scalar(program, std::span(&a, 1), {}).front();
}

TEST(CudaElements, AComparisonWithZeroNeedsNoReluAndNoRounding) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {4}});
  const Value bf16 = ops::cast(x, DType::bf16, {});
  const Value f16 = ops::cast(x, DType::f16, {});
  EXPECT_EQ(text_of(above_zero(ops::relu(x, {})), x), "const bool v0 = x > 0x0p+0f;\n");
  // The smallest numbers are 2^-133 and 2^-24; half of them rounds to zero, as to even.
  EXPECT_EQ(text_of(above_zero(bf16), x), "const bool v0 = x > 0x1p-134f;\n");
  EXPECT_EQ(text_of(above_zero(ops::relu(f16, {})), x), "const bool v0 = x > 0x1p-25f;\n");
}

TEST(CudaElements, WhatIsThereIsCompared) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::bf16, {4}});
  const Value y = ops::relu(x, {});
  EXPECT_NE(text_of(above_zero(y), y).find("(x) > (0x0p+0f)"), std::string::npos);
}

}  // namespace
}  // namespace ingot::cuda
