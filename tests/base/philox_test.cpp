#include "ingot/base/philox.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

namespace ingot {
namespace {

// The vectors published with Random123 ("philox4x32 10" of its kat_vectors).
static_assert(philox4x32({0, 0, 0, 0}, 0) ==
              PhiloxBlock{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
static_assert(philox4x32({0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu},
                         0xffffffffffffffffu) ==
              PhiloxBlock{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
static_assert(philox4x32({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
                         0x299f31d0a4093822u) ==
              PhiloxBlock{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});

TEST(Philox, CounterIsInjectiveAcrossItsFields) {
  std::set<PhiloxBlock> counters;
  const std::array<std::uint64_t, 4> wide{0, 1, 1ull << 32, (1ull << 48) - 1};
  for (const std::uint32_t stream : {0u, 1u, 0xffffffffu}) {
    for (const std::uint64_t step : wide) {
      for (const std::uint64_t block : wide) counters.insert(philox_counter(stream, step, block));
    }
  }
  EXPECT_EQ(counters.size(), 3u * 4u * 4u);
}

TEST(Philox, ElementsOfABlockAreItsWords) {
  const PhiloxBlock block = philox_block(42, 7, 3, 5);
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(philox_word(42, 7, 3, 20 + i), block[i]);
  EXPECT_NE(philox_word(42, 7, 3, 20), philox_word(43, 7, 3, 20));
  EXPECT_NE(philox_word(42, 7, 3, 20), philox_word(42, 8, 3, 20));
  EXPECT_NE(philox_word(42, 7, 3, 20), philox_word(42, 7, 4, 20));
}

TEST(Philox, UniformBounds) {
  EXPECT_EQ(philox_to_uniform(0), 0.0f);
  EXPECT_EQ(philox_to_uniform(0xffffffffu), 1.0f - 0x1p-24f);
}

struct Moments {
  double mean = 0;
  double variance = 0;
  double fourth = 0;
};

Moments moments(const std::vector<double>& values) {
  Moments m;
  for (const double v : values) m.mean += v;
  m.mean /= static_cast<double>(values.size());
  for (const double v : values) {
    const double d = (v - m.mean) * (v - m.mean);
    m.variance += d;
    m.fourth += d * d;
  }
  m.variance /= static_cast<double>(values.size());
  m.fourth /= static_cast<double>(values.size());
  return m;
}

TEST(Philox, UniformMoments) {
  std::vector<double> f32;
  std::vector<double> f64;
  for (std::uint64_t i = 0; i < 200000; ++i) {
    f32.push_back(static_cast<double>(philox_uniform(1, 2, 3, i)));
    f64.push_back(philox_uniform_f64(1, 2, 3, i));
    ASSERT_GE(f64.back(), 0.0);
    ASSERT_LT(f64.back(), 1.0);
  }
  for (const auto& values : {f32, f64}) {
    const Moments m = moments(values);
    EXPECT_NEAR(m.mean, 0.5, 0.003);
    EXPECT_NEAR(m.variance, 1.0 / 12.0, 0.001);
  }
}

TEST(Philox, UniformF64HasFinerSteps) {
  int fine = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    const double scaled = philox_uniform_f64(9, 0, 0, i) * 0x1p32;
    if (scaled != std::floor(scaled)) ++fine;
    const double all = philox_uniform_f64(9, 0, 0, i) * 0x1p53;
    EXPECT_EQ(all, std::floor(all));
  }
  EXPECT_GT(fine, 95);
}

TEST(Philox, NormalMoments) {
  std::vector<double> values;
  for (std::uint64_t i = 0; i < 200000; ++i) values.push_back(philox_normal(5, 0, 1, i));
  const Moments m = moments(values);
  EXPECT_NEAR(m.mean, 0.0, 0.01);
  EXPECT_NEAR(m.variance, 1.0, 0.015);
  EXPECT_NEAR(m.fourth / (m.variance * m.variance), 3.0, 0.08);
}

TEST(Philox, BoxMullerEnds) {
  const auto [cosine, sine] = philox_box_muller(0xffffffffu, 0);  // u1 = 1: radius 0
  EXPECT_EQ(cosine, 0.0);
  EXPECT_EQ(sine, 0.0);
  EXPECT_NEAR(philox_box_muller(0, 0).first, std::sqrt(48.0 * std::log(2.0)), 1e-12);
  const PhiloxBlock words = philox_block(5, 0, 1, 3);
  EXPECT_EQ(philox_normal(5, 0, 1, 13), philox_box_muller(words[0], words[1]).second);
  EXPECT_EQ(philox_normal(5, 0, 1, 14), philox_box_muller(words[2], words[3]).first);
}

TEST(Philox, BernoulliThreshold) {
  EXPECT_EQ(philox_bernoulli_threshold(0.0), 0u);
  EXPECT_EQ(philox_bernoulli_threshold(-1.0), 0u);
  EXPECT_EQ(philox_bernoulli_threshold(std::nan("")), 0u);
  EXPECT_EQ(philox_bernoulli_threshold(1.0), 1u << 24);
  EXPECT_EQ(philox_bernoulli_threshold(2.0), 1u << 24);
  EXPECT_EQ(philox_bernoulli_threshold(0.5), 1u << 23);
  EXPECT_EQ(philox_bernoulli_threshold(0x1p-30), 1u);
  EXPECT_EQ(philox_bernoulli_threshold(0.9), 15099495u);
  int ones = 0;
  for (std::uint64_t i = 0; i < 100000; ++i) ones += philox_bernoulli(3, 1, 4, i, 0.3) ? 1 : 0;
  EXPECT_NEAR(ones, 30000, 600);
}

TEST(Philox, BelowIsUniformAndBounded) {
  std::array<int, 7> counts{};
  for (std::uint64_t i = 0; i < 70000; ++i) ++counts.at(philox_below(11, 0, 0, i, 7));
  for (const int count : counts) EXPECT_NEAR(count, 10000, 400);
  EXPECT_EQ(philox_below(11, 0, 0, 3, 1), 0u);
  // The product's upper half is exact for wide bounds too.
  for (std::uint64_t i = 0; i < 100; ++i) {
    const PhiloxBlock w = philox_block(11, 0, 0, i / 2);
    const std::uint64_t word = (std::uint64_t{w[i % 2 * 2 + 1]} << 32) | w[i % 2 * 2];
    const std::uint64_t bound = 0xfedcba9876543210u;
    __extension__ using Wide = unsigned __int128;
    EXPECT_EQ(philox_below(11, 0, 0, i, bound),
              static_cast<std::uint64_t>((static_cast<Wide>(word) * bound) >> 64));
  }
}

}  // namespace
}  // namespace ingot
