#include "ingot/base/shape.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "ingot/base/source_location.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

TEST(Shape, DimensionsStridesAndText) {
  const Shape shape{32, 3, 16, 8};
  EXPECT_EQ(shape.rank(), 4);
  EXPECT_EQ(shape[1], 3);
  EXPECT_EQ(shape.numel(), 32 * 3 * 16 * 8);
  EXPECT_EQ(shape.to_string(), "[32,3,16,8]");
  EXPECT_EQ(shape.to_vector(), (std::vector<std::int64_t>{32, 3, 16, 8}));
  const auto strides = shape.strides();
  EXPECT_EQ(strides[0], 384);
  EXPECT_EQ(strides[1], 128);
  EXPECT_EQ(strides[2], 8);
  EXPECT_EQ(strides[3], 1);
}

TEST(Shape, ScalarAndEmpty) {
  const Shape scalar;
  EXPECT_EQ(scalar.rank(), 0);
  EXPECT_EQ(scalar.numel(), 1);
  EXPECT_EQ(scalar.to_string(), "[]");
  EXPECT_EQ((Shape{4, 0, 2}).numel(), 0);
}

TEST(Shape, NumelSaturates) {
  EXPECT_EQ((Shape{kMax, 2}).numel(), kMax);
  EXPECT_EQ((Shape{kMax, 2, 0}).numel(), 0);
  EXPECT_EQ((TensorType{DType::f64, Shape{kMax / 2}}).bytes(), kMax);
}

TEST(Shape, Equality) {
  EXPECT_EQ((Shape{2, 3}), Shape(std::vector<std::int64_t>{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
  Shape grown{2};
  grown.push_back(3);
  grown[0] = 5;
  EXPECT_EQ(grown, (Shape{5, 3}));
}

TEST(Shape, NinthDimensionIsRefused) {
  testing_support::expect_user_error(ErrorCode::invalid_shape,
                                     "shape: at most 8 dimensions, got more",
                                     [] { Shape({1, 2, 3, 4, 5, 6, 7, 8, 9}); });
}

TEST(TensorType, TextAndBytes) {
  const TensorType type{DType::bf16, {32, 3}};
  EXPECT_EQ(type.to_string(), "bf16[32,3]");
  EXPECT_EQ(type.numel(), 96);
  EXPECT_EQ(type.bytes(), 192);
  EXPECT_NE(type, (TensorType{DType::f16, {32, 3}}));
}

SourceLocation here(SourceLocation location = SourceLocation::current()) { return location; }

TEST(SourceLocation, NamesTheCaller) {
  const SourceLocation location = here();
  const auto line = static_cast<std::uint32_t>(__LINE__ - 1);
  EXPECT_TRUE(location.known());
  EXPECT_EQ(location.line, line);
  EXPECT_EQ(location.to_string(), "shape_test.cpp:" + std::to_string(line) + " in TestBody");
  EXPECT_FALSE(SourceLocation{}.known());
  EXPECT_EQ(SourceLocation{}.to_string(), "");
}

}  // namespace
}  // namespace ingot
