#include "ingot/base/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>

namespace ingot {
namespace {

TEST(DType, NamesRoundTrip) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(parse_dtype(dtype_name(dtype)), dtype);
  }
  EXPECT_EQ(parse_dtype("f31"), std::nullopt);
}

// Every half value survives the round trip, and every float between two halves goes to the nearer
// one (to the even one at the midpoint).
TEST(Half, RoundsToNearestEven) {
  for (std::uint32_t bits = 0; bits < 0x7c00u; ++bits) {
    Half low;
    low.bits = static_cast<std::uint16_t>(bits);
    const auto value = static_cast<float>(low);
    EXPECT_EQ(Half(value).bits, bits);
    EXPECT_EQ(Half(-value).bits, bits | 0x8000u);
    if (bits + 1 == 0x7c00u) continue;
    Half high;
    high.bits = static_cast<std::uint16_t>(bits + 1);
    const float middle = 0.5f * (value + static_cast<float>(high));
    EXPECT_EQ(Half(middle).bits, (bits & 1u) != 0 ? bits + 1 : bits);
    EXPECT_EQ(Half(std::nextafter(middle, 1e9f)).bits, bits + 1);
    EXPECT_EQ(Half(std::nextafter(middle, -1.0f)).bits, bits);
  }
  EXPECT_EQ(Half(65520.0f).bits, 0x7c00u);
  EXPECT_EQ(Half(65519.996f).bits, 0x7bffu);
  EXPECT_TRUE(std::isnan(static_cast<float>(Half(std::nanf("")))));
}

TEST(BFloat16, RoundsToNearestEven) {
  EXPECT_EQ(BFloat16(std::bit_cast<float>(0x3f808000u)).bits, 0x3f80u);
  EXPECT_EQ(BFloat16(std::bit_cast<float>(0x3f818000u)).bits, 0x3f82u);
  EXPECT_EQ(BFloat16(std::bit_cast<float>(0x3f808001u)).bits, 0x3f81u);
  EXPECT_TRUE(std::isnan(static_cast<float>(BFloat16(std::nanf("")))));
  EXPECT_EQ(static_cast<float>(BFloat16(INFINITY)), INFINITY);
}

}  // namespace
}  // namespace ingot
