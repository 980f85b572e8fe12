#include "ingot/base/host_view.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/support/expect_error.h"

namespace ingot {
namespace {

TEST(HostView, EveryDTypeKeepsSmallIntegers) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    HostTensor tensor(TensorType{dtype, {3}});
    const HostView view = tensor.view();
    EXPECT_EQ(view.get(1), 0.0) << dtype_name(dtype);
    view.set(1, 1.0);
    view.set_int(2, dtype == DType::boolean ? 1 : 100);
    EXPECT_EQ(view.get(0), 0.0) << dtype_name(dtype);
    EXPECT_EQ(view.get(1), 1.0) << dtype_name(dtype);
    EXPECT_EQ(view.get_int(1), 1) << dtype_name(dtype);
    EXPECT_EQ(view.get_int(2), dtype == DType::boolean ? 1 : 100) << dtype_name(dtype);
  }
}

TEST(HostView, FloatsRoundToTheElementType) {
  HostTensor f16(TensorType{DType::f16, {1}}, std::array{1.0 + 1e-4});
  EXPECT_EQ(f16.view().get(0), 1.0);
  HostTensor bf16(TensorType{DType::bf16, {1}}, std::array{1.0 + 0x1p-7});
  EXPECT_EQ(bf16.view().get(0), 1.0 + 0x1p-7);
  HostTensor f32(TensorType{DType::f32, {1}}, std::array{0.1});
  EXPECT_EQ(f32.view().get(0), static_cast<double>(0.1f));
  HostTensor f64(TensorType{DType::f64, {1}}, std::array{0.1});
  EXPECT_EQ(f64.view().get(0), 0.1);
}

TEST(HostView, IntegersSaturateAndTruncate) {
  const double nan = std::nan("");
  const std::array values{1e30, -1e30, nan, -1.9, 1.9};
  const HostTensor i32(TensorType{DType::i32, {5}}, values);
  EXPECT_EQ(i32.to_doubles(), (std::vector<double>{2147483647.0, -2147483648.0, 0.0, -1.0, 1.0}));
  const HostTensor u8(TensorType{DType::u8, {5}}, values);
  EXPECT_EQ(u8.to_doubles(), (std::vector<double>{255.0, 0.0, 0.0, 0.0, 1.0}));
  const HostTensor i64(TensorType{DType::i64, {5}}, values);
  EXPECT_EQ(i64.view().get_int(0), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(i64.view().get_int(1), std::numeric_limits<std::int64_t>::min());
  const HostTensor boolean(TensorType{DType::boolean, {3}}, std::array{0.0, 0.5, -3.0});
  EXPECT_EQ(boolean.to_doubles(), (std::vector<double>{0.0, 1.0, 1.0}));
}

TEST(HostView, IntegersOfFullWidthPassUnrounded) {
  HostTensor tensor(TensorType{DType::i64, {1}});
  const std::int64_t odd = (std::int64_t{1} << 62) + 1;
  tensor.view().set_int(0, odd);
  EXPECT_EQ(tensor.view().get_int(0), odd);
}

TEST(HostTensor, SpansAndEquality) {
  HostTensor a(TensorType{DType::f32, {2, 2}}, std::array{1.0, 2.0, 3.0, 4.0});
  EXPECT_EQ(a.bytes().size(), 16u);
  EXPECT_EQ(a.view().as<float>()[2], 3.0f);
  HostTensor b = a;
  EXPECT_EQ(a, b);
  b.view().as<float>()[2] = 5.0f;
  EXPECT_NE(a, b);
  EXPECT_EQ(HostTensor(TensorType{DType::f32, {0, 4}}).bytes().size(), 0u);
}

TEST(HostTensor, NumberOfValuesMustFit) {
  testing_support::expect_user_error(
      ErrorCode::invalid_argument, "host tensor: f32[2,2] needs 4 values, got 3",
      [] { HostTensor(TensorType{DType::f32, {2, 2}}, std::array{1.0, 2.0, 3.0}); });
}

}  // namespace
}  // namespace ingot
