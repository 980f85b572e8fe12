// The SIMD functions against double, over dense ranges and at special values.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "ingot/backends/cpu/tile_ops.h"

namespace ingot {
namespace {

struct Range {
  ScalarOp op;
  float low;
  float high;
  double ulps;
};

std::vector<float> apply(ScalarOp op, std::vector<float> x) {
  const std::size_t n = x.size();
  x.resize((n + kTileQuantum - 1) / kTileQuantum * kTileQuantum, 1.0f);
  std::vector<float> y(x.size());
  const TileArg arg{x.data(), false};
  tile_fn(op, Lane::f32)(y.data(), &arg, static_cast<std::int64_t>(x.size()));
  y.resize(n);
  return y;
}

/// Distance in units of the last place of `want`.
double ulps(float got, double want) {
  const auto rounded = std::fabs(static_cast<float>(want));
  const float next = std::nextafter(rounded, std::numeric_limits<float>::infinity());
  const double unit = std::max(static_cast<double>(next) - static_cast<double>(rounded), 0x1p-149);
  return std::fabs(static_cast<double>(got) - want) / unit;
}

TEST(TileMath, WithinAFewUnitsInTheLastPlace) {
  const std::vector<Range> ranges{
      {ScalarOp::exp, -80, 88, 2},         {ScalarOp::expm1, -20, 80, 4},
      {ScalarOp::log, 1e-30f, 1e30f, 4},   {ScalarOp::log, 0.5f, 2.0f, 4},
      {ScalarOp::log1p, -0.9f, 10, 4},     {ScalarOp::sqrt, 0, 1e10f, 0.5},
      {ScalarOp::rsqrt, 1e-10f, 1e10f, 2}, {ScalarOp::tanh, -12, 12, 4},
      {ScalarOp::sigmoid, -80, 20, 4},     {ScalarOp::erf, -5, 5, 4},
      {ScalarOp::sin, -3, 3, 4},           {ScalarOp::cos, -1.5f, 1.5f, 4}};
  for (const Range& range : ranges) {
    constexpr int kSamples = 200'000;
    std::vector<float> x;
    for (int i = 0; i < kSamples; ++i) {
      const double t = i / static_cast<double>(kSamples - 1);
      x.push_back(static_cast<float>(range.low + t * (range.high - range.low)));
      // Dense near zero as well, where absolute errors hide.
      if (range.low < 0) x.push_back(x.back() * static_cast<float>(t * t * t * t));
    }
    const std::vector<float> y = apply(range.op, x);
    double worst = 0;
    float where = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double want = evaluate_scalar(range.op, static_cast<double>(x[i]), 0, 0, false);
      if (const double error = ulps(y[i], want); error > worst) {
        worst = error;
        where = x[i];
      }
    }
    EXPECT_LE(worst, range.ulps + 0.01) << scalar_op_info(range.op).name << "(" << where << ")";
  }
}

TEST(TileMath, SpecialValues) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> x{0.0f,
                             -0.0f,
                             1.0f,
                             -1.0f,
                             inf,
                             -inf,
                             200.0f,
                             -200.0f,
                             1e38f,
                             -2.0f,
                             std::numeric_limits<float>::quiet_NaN()};
  for (const ScalarOp op :
       {ScalarOp::exp, ScalarOp::expm1, ScalarOp::log, ScalarOp::log1p, ScalarOp::sqrt,
        ScalarOp::rsqrt, ScalarOp::tanh, ScalarOp::sigmoid, ScalarOp::erf, ScalarOp::sign,
        ScalarOp::floor, ScalarOp::ceil, ScalarOp::round, ScalarOp::abs, ScalarOp::neg}) {
    const std::vector<float> y = apply(op, x);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto want =
          static_cast<float>(evaluate_scalar(op, static_cast<double>(x[i]), 0, 0, false));
      const bool same = std::isnan(want) ? std::isnan(y[i])
                                         : y[i] == want || std::fabs(y[i] - want) <=
                                                               1e-6f * std::fabs(want) + 1e-37f;
      EXPECT_TRUE(same) << scalar_op_info(op).name << "(" << x[i] << ") = " << y[i] << ", want "
                        << want;
    }
  }
}

}  // namespace
}  // namespace ingot
