#include "ingot/ir/scalar.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/expect_error.h"

namespace ingot {
namespace {

const std::vector<std::string> kNames{"a", "b", "c"};

ScalarProgram parse(std::string_view text) { return ScalarProgram::parse(text, kNames); }

double run(std::string_view text, double a = 0, double b = 0, double c = 0) {
  const ScalarProgram program = parse(text);
  const double in[] = {a, b, c};
  double out = 0;
  program.evaluate(in, {&out, 1});
  return out;
}

TEST(Scalar, PrecedenceAndFunctions) {
  EXPECT_EQ(run("a + b * c", 1, 2, 3), 7);
  EXPECT_EQ(run("(a + b) * c", 1, 2, 3), 9);
  EXPECT_EQ(run("a - b - c", 1, 2, 3), -4);
  EXPECT_EQ(run("a / b / c", 12, 2, 3), 2);
  EXPECT_EQ(run("-a * -2", 3), 6);
  EXPECT_EQ(run("- -a", 3), 3);
  EXPECT_EQ(run("a + 1 < b", 1, 3), 1);
  EXPECT_EQ(run("select(a >= b, a, b)", 1, 3), 3);
  EXPECT_EQ(run("t = a * a; u = t + t; u * 2", 3), 36);
  EXPECT_EQ(run("a = a + 1; a", 3), 4);
  EXPECT_EQ(run("1e3"), 1000);
  EXPECT_EQ(run("cast_i32(a)", 2.7), 2);
  EXPECT_EQ(run("cast_bf16(a)", 1 + 0x1p-10), 1);
}

TEST(Scalar, EveryFunctionHasItsMeaning) {
  const auto check = [](std::string_view name, double a, double expected) {
    EXPECT_DOUBLE_EQ(run(std::string(name) + "(a)", a), expected) << name;
  };
  check("neg", 2, -2);
  check("abs", -2, 2);
  check("sign", -2, -1);
  check("sign", 0, 0);
  check("exp", 1, std::exp(1.0));
  check("expm1", 1e-9, std::expm1(1e-9));
  check("log", 2, std::log(2.0));
  check("log1p", 1e-9, std::log1p(1e-9));
  check("sqrt", 4, 2);
  check("rsqrt", 4, 0.5);
  check("sin", 1, std::sin(1.0));
  check("cos", 1, std::cos(1.0));
  check("tanh", 1, std::tanh(1.0));
  check("sigmoid", 0, 0.5);
  check("sigmoid", -800, 0);
  check("erf", 1, std::erf(1.0));
  check("floor", -1.5, -2);
  check("ceil", -1.5, -1);
  check("round", 2.5, 2);
  check("round", 3.5, 4);
  check("is_finite", 1, 1);
  check("logical_not", 0, 1);
  EXPECT_EQ(run("is_finite(a)", std::numeric_limits<double>::quiet_NaN()), 0);
  EXPECT_EQ(run("pow(a, b)", 2, 10), 1024);
  EXPECT_EQ(run("min(a, b)", 2, 10), 2);
  EXPECT_EQ(run("max(a, b)", 2, 10), 10);
  EXPECT_EQ(run("logical_and(a, b)", 1, 0), 0);
  EXPECT_EQ(run("logical_or(a, b)", 1, 0), 1);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(run("min(a, b)", nan, 1)));
  EXPECT_TRUE(std::isnan(run("min(a, b)", 1, nan)));
  EXPECT_TRUE(std::isnan(run("max(a, b)", nan, 1)));
  EXPECT_TRUE(std::isnan(run("max(a, b)", 1, nan)));
}

TEST(Scalar, Comparisons) {
  const std::pair<const char*, bool> expected[] = {{"a < b", true},   {"a <= b", true},
                                                   {"a > b", false},  {"a >= b", false},
                                                   {"a == b", false}, {"a != b", true}};
  for (const auto& [text, holds] : expected) EXPECT_EQ(run(text, 1, 2), holds ? 1 : 0) << text;
}

TEST(Scalar, EqualInstructionsMergeAndTextsReadBack) {
  const ScalarProgram program = parse("m = a * b + a * b; m / 3, m - 0.1, a");
  EXPECT_EQ(program.flops(), 4);
  EXPECT_EQ(program.to_string(),
            "t0 = mul(x0, x1); t1 = add(t0, t0); t2 = div(t1, 3); t3 = sub(t1, 0.1); t2, t3, x0");
  const std::vector<std::string> plain{"x0", "x1", "x2"};
  const ScalarProgram again = ScalarProgram::parse(program.to_string(), plain);
  EXPECT_EQ(again.to_string(), program.to_string());
  EXPECT_EQ(again, program);
}

TEST(Scalar, TypesFollowOperandsAndConstantsAdapt) {
  const DType types[] = {DType::bf16, DType::f32, DType::i32};
  const ScalarProgram typed =
      parse("a * 2, a + b, c / 2, a < b, cast_f16(c), select(a > 1, b, 0)").typed(types);
  std::vector<DType> results;
  for (const int output : typed.outputs()) {
    results.push_back(typed.instrs()[static_cast<std::size_t>(output)].type);
  }
  EXPECT_EQ(results, (std::vector<DType>{DType::bf16, DType::f32, DType::i32, DType::boolean,
                                         DType::f16, DType::f32}));
  const double in[] = {1, 2, -7};
  std::vector<double> out(6);
  typed.evaluate(in, out);
  EXPECT_EQ(out[2], -3);  // integers truncate
}

TEST(Scalar, IntegerDivisionByZeroIsZero) {
  EXPECT_EQ(evaluate_scalar(ScalarOp::div, 5, 0, 0, true), 0);
  EXPECT_TRUE(std::isinf(evaluate_scalar(ScalarOp::div, 5, 0, 0, false)));
}

TEST(Scalar, InlineBindsArguments) {
  ScalarProgram program(2);
  const int x = program.add_input(0);
  const int y = program.add_input(1);
  const int args[] = {y, x, x};
  const std::vector<int> results = program.inline_program(parse("a - b, c"), args);
  ASSERT_EQ(results.size(), 2u);
  program.add_output(results[0]);
  EXPECT_EQ(results[1], x);
  const double in[] = {3, 10};
  double out = 0;
  program.evaluate(in, {&out, 1});
  EXPECT_EQ(out, 7);
}

TEST(Scalar, TableIsInOrder) {
  for (std::size_t i = 0; i < scalar_ops().size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(scalar_ops()[i].op), i);
  }
}

TEST(Scalar, ParseErrors) {
  const std::pair<const char*, const char*> bad[] = {
      {"", "an operand expected, at position 0"},
      {"a +", "an operand expected, at position 3"},
      {"a b", "end of the expression expected, at position 2"},
      {"(a", "')' expected, at position 2"},
      {"q", "unknown operand \"q\", at position 1"},
      {"m = a", "';' expected after a statement, at position 5"},
      {"sinh(a)", "unknown function \"sinh\", at position 7"},
      {"exp(a, b)", "\"exp\" takes 1 argument(s), got 2, at position 9"},
      {"exp(a", "')' expected, at position 5"},
      {"cast_f31(a)", "unknown type in \"cast_f31\", at position 11"},
      {"cast_f32(a, b)", "\"cast_f32\" takes 1 argument(s), got 2, at position 14"},
      {"cast(a)", "unknown function \"cast\", at position 7"},
      {"1e999", "number expected, at position 0"},
  };
  for (const auto& [text, message] : bad) {
    testing_support::expect_user_error(
        ErrorCode::invalid_graph, "scalar expression \"" + std::string(text) + "\": " + message,
        [&] { parse(text); });
  }
}

}  // namespace
}  // namespace ingot
