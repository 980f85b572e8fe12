#include "ingot/ir/attr.h"

#include <gtest/gtest.h>

#include <limits>

namespace ingot {
namespace {

TensorAttr tensor(TensorType type, std::vector<double> values) {
  return {std::make_shared<const HostTensor>(type, values)};
}

TEST(Attr, Texts) {
  const std::vector<std::string> names{"a", "b"};
  const double inf = std::numeric_limits<double>::infinity();
  const std::pair<AttrValue, const char*> expected[] = {
      {true, "true"},
      {std::int64_t{-3}, "-3"},
      {0.5, "0.5"},
      {2.0, "2.0"},
      {0.1, "0.1"},
      {1e30, "1e+30"},
      {-inf, "-inf"},
      {std::string("a\"b\\c\nd"), R"("a\"b\\c\nd")"},
      {std::vector<std::int64_t>{}, "[]"},
      {std::vector<std::int64_t>{1, -2}, "[1,-2]"},
      {DType::bf16, "bf16"},
      {ScalarProgram::parse("2 + a * b", names),
       "expr(2)\"t0 = mul(x0, x1); t1 = add(2, t0); t1\""},
      {tensor({DType::f32, {2}}, {1, 0.5}), "dense<f32[2]: 1.0,0.5>"},
      {tensor({DType::i32, {2, 2}}, {7, 7, 7, 7}), "dense<i32[2,2]: 7>"},
      {tensor({DType::f32, {0}}, {}), "dense<f32[0]:>"},
  };
  for (const auto& [value, text] : expected) EXPECT_EQ(to_string(value), text);
}

TEST(Attr, KindsAndNames) {
  EXPECT_EQ(attr_kind(AttrValue(DType::f32)), AttrKind::dtype);
  EXPECT_EQ(attr_kind_name(AttrKind::scalar_program), "scalar expression");
  EXPECT_EQ(attr_kind(NamedAttr("a", 3).value), AttrKind::integer);
  EXPECT_EQ(attr_kind(NamedAttr("a", "text").value), AttrKind::string);
  EXPECT_EQ(attr_kind(NamedAttr("a", {1, 2}).value), AttrKind::integers);
  EXPECT_EQ(attr_kind(NamedAttr("a", true).value), AttrKind::boolean);
}

TEST(Attr, EqualityAndHashGoByContent) {
  const AttrValue a = tensor({DType::f32, {2}}, {1, 2});
  const AttrValue b = tensor({DType::f32, {2}}, {1, 2});
  const AttrValue c = tensor({DType::f32, {2}}, {1, 3});
  EXPECT_EQ(a, b);
  EXPECT_EQ(hash_value(a), hash_value(b));
  EXPECT_NE(a, c);
  EXPECT_NE(hash_value(a), hash_value(c));
  const std::vector<AttrValue> different{true,
                                         std::int64_t{1},
                                         1.0,
                                         std::string("1"),
                                         std::vector<std::int64_t>{1},
                                         std::vector<std::int64_t>{1, 1},
                                         DType::f32,
                                         DType::f64,
                                         ScalarProgram(1)};
  for (std::size_t i = 0; i < different.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      EXPECT_NE(different[i], different[k]);
      EXPECT_NE(hash_value(different[i]), hash_value(different[k])) << i << " " << k;
    }
  }
}

}  // namespace
}  // namespace ingot
