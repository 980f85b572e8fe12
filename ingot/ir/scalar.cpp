#include "ingot/ir/scalar.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ingot/base/error.h"
#include "ingot/base/host_view.h"

namespace ingot {
namespace {

using Op = ScalarOp;

// In the order of the enum.
constexpr std::array kInfo{
    ScalarOpInfo{Op::input, "input", 0, false},
    ScalarOpInfo{Op::constant, "constant", 0, false},
    ScalarOpInfo{Op::neg, "neg", 1, false},
    ScalarOpInfo{Op::abs, "abs", 1, false},
    ScalarOpInfo{Op::sign, "sign", 1, false},
    ScalarOpInfo{Op::exp, "exp", 1, false},
    ScalarOpInfo{Op::expm1, "expm1", 1, false},
    ScalarOpInfo{Op::log, "log", 1, false},
    ScalarOpInfo{Op::log1p, "log1p", 1, false},
    ScalarOpInfo{Op::sqrt, "sqrt", 1, false},
    ScalarOpInfo{Op::rsqrt, "rsqrt", 1, false},
    ScalarOpInfo{Op::sin, "sin", 1, false},
    ScalarOpInfo{Op::cos, "cos", 1, false},
    ScalarOpInfo{Op::tanh, "tanh", 1, false},
    ScalarOpInfo{Op::sigmoid, "sigmoid", 1, false},
    ScalarOpInfo{Op::erf, "erf", 1, false},
    ScalarOpInfo{Op::floor, "floor", 1, false},
    ScalarOpInfo{Op::ceil, "ceil", 1, false},
    ScalarOpInfo{Op::round, "round", 1, false},
    ScalarOpInfo{Op::is_finite, "is_finite", 1, true},
    ScalarOpInfo{Op::logical_not, "logical_not", 1, true},
    ScalarOpInfo{Op::add, "add", 2, false},
    ScalarOpInfo{Op::sub, "sub", 2, false},
    ScalarOpInfo{Op::mul, "mul", 2, false},
    ScalarOpInfo{Op::div, "div", 2, false},
    ScalarOpInfo{Op::pow, "pow", 2, false},
    ScalarOpInfo{Op::min, "min", 2, false},
    ScalarOpInfo{Op::max, "max", 2, false},
    ScalarOpInfo{Op::lt, "lt", 2, true},
    ScalarOpInfo{Op::le, "le", 2, true},
    ScalarOpInfo{Op::gt, "gt", 2, true},
    ScalarOpInfo{Op::ge, "ge", 2, true},
    ScalarOpInfo{Op::eq, "eq", 2, true},
    ScalarOpInfo{Op::ne, "ne", 2, true},
    ScalarOpInfo{Op::logical_and, "logical_and", 2, true},
    ScalarOpInfo{Op::logical_or, "logical_or", 2, true},
    ScalarOpInfo{Op::select, "select", 3, false},
    ScalarOpInfo{Op::cast, "cast", 1, false},
};

/// Value of `x` after storage as `dtype`.
double rounded(double x, DType dtype) {
  std::array<std::byte, 8> storage{};
  const HostView view{{dtype, Shape{}}, storage.data()};
  view.set(0, x);
  return view.get(0);
}

DType common_type(DType a, bool a_constant, DType b, bool b_constant) {
  if (a_constant && !b_constant) return b;
  if (b_constant && !a_constant) return a;
  return a < b ? a : b;  // the enum runs from the widest float down to bool
}

}  // namespace

std::span<const ScalarOpInfo> scalar_ops() noexcept { return kInfo; }

const ScalarOpInfo& scalar_op_info(ScalarOp op) noexcept {
  return kInfo[static_cast<std::size_t>(op)];
}

int ScalarProgram::push(const ScalarInstr& instr) {
  // Programs are short (tens of instructions), so a linear search for an equal one is enough.
  const auto it = std::find(instrs_.begin(), instrs_.end(), instr);
  if (it != instrs_.end()) return static_cast<int>(it - instrs_.begin());
  instrs_.push_back(instr);
  return static_cast<int>(instrs_.size()) - 1;
}

int ScalarProgram::add_input(int operand) { return push({.op = Op::input, .a = operand}); }

int ScalarProgram::add_constant(double value) { return push({.op = Op::constant, .imm = value}); }

int ScalarProgram::add(ScalarOp op, int a, int b, int c) {
  return push({.op = op, .a = a, .b = b, .c = c});
}

int ScalarProgram::add_cast(int a, DType type) {
  return push({.op = Op::cast, .a = a, .type = type});
}

std::vector<int> ScalarProgram::inline_program(const ScalarProgram& callee,
                                               std::span<const int> args) {
  std::vector<int> map;
  map.reserve(callee.instrs_.size());
  const auto mapped = [&map](int i) { return i < 0 ? -1 : map[static_cast<std::size_t>(i)]; };
  for (const ScalarInstr& instr : callee.instrs_) {
    if (instr.op == Op::input) {
      map.push_back(args[static_cast<std::size_t>(instr.a)]);
      continue;
    }
    ScalarInstr copy = instr;
    copy.a = mapped(instr.a);
    copy.b = mapped(instr.b);
    copy.c = mapped(instr.c);
    map.push_back(push(copy));
  }
  std::vector<int> results;
  for (const int output : callee.outputs_) results.push_back(mapped(output));
  return results;
}

ScalarProgram ScalarProgram::typed(std::span<const DType> input_types) const {
  ScalarProgram result = *this;
  std::vector<bool> flexible;  // made of constants only: takes the type of whatever it meets
  const auto type_of = [&result](int i) {
    return result.instrs_[static_cast<std::size_t>(i)].type;
  };
  const auto adapts = [&flexible](int i) { return flexible[static_cast<std::size_t>(i)]; };
  for (ScalarInstr& instr : result.instrs_) {
    const ScalarOpInfo& info = scalar_op_info(instr.op);
    bool free = false;
    const auto join = [&](int x, int y) {
      instr.type = common_type(type_of(x), adapts(x), type_of(y), adapts(y));
      free = adapts(x) && adapts(y);
    };
    if (instr.op == Op::input) {
      instr.type = input_types[static_cast<std::size_t>(instr.a)];
    } else if (instr.op == Op::constant) {
      instr.type = DType::f32;
      free = true;
    } else if (info.yields_bool) {
      instr.type = DType::boolean;
    } else if (instr.op == Op::select) {
      join(instr.b, instr.c);
    } else if (info.arity == 2) {
      join(instr.a, instr.b);
    } else if (instr.op != Op::cast) {
      instr.type = type_of(instr.a);
      free = adapts(instr.a);
    }
    flexible.push_back(free);
  }
  return result;
}

double evaluate_scalar(ScalarOp op, double a, double b, double c, bool integer) noexcept {
  switch (op) {
    case Op::input:
    case Op::constant:
    case Op::cast: return a;
    case Op::neg: return -a;
    case Op::abs: return std::fabs(a);
    case Op::sign: return a > 0 ? 1.0 : (a < 0 ? -1.0 : a);
    case Op::exp: return std::exp(a);
    case Op::expm1: return std::expm1(a);
    case Op::log: return std::log(a);
    case Op::log1p: return std::log1p(a);
    case Op::sqrt: return std::sqrt(a);
    case Op::rsqrt: return 1.0 / std::sqrt(a);
    case Op::sin: return std::sin(a);
    case Op::cos: return std::cos(a);
    case Op::tanh: return std::tanh(a);
    case Op::sigmoid:
      return a >= 0 ? 1.0 / (1.0 + std::exp(-a)) : std::exp(a) / (1.0 + std::exp(a));
    case Op::erf: return std::erf(a);
    case Op::floor: return std::floor(a);
    case Op::ceil: return std::ceil(a);
    case Op::round: return std::nearbyint(a);
    case Op::is_finite: return std::isfinite(a) ? 1.0 : 0.0;
    case Op::logical_not: return a == 0 ? 1.0 : 0.0;
    case Op::add: return a + b;
    case Op::sub: return a - b;
    case Op::mul: return a * b;
    case Op::div:
      if (integer) return b == 0 ? 0.0 : std::trunc(a / b);
      return a / b;
    case Op::pow: return std::pow(a, b);
    case Op::min: return std::isnan(a) || a < b ? a : b;
    case Op::max: return std::isnan(a) || a > b ? a : b;
    case Op::lt: return a < b ? 1.0 : 0.0;
    case Op::le: return a <= b ? 1.0 : 0.0;
    case Op::gt: return a > b ? 1.0 : 0.0;
    case Op::ge: return a >= b ? 1.0 : 0.0;
    case Op::eq: return a == b ? 1.0 : 0.0;
    case Op::ne: return a != b ? 1.0 : 0.0;
    case Op::logical_and: return a != 0 && b != 0 ? 1.0 : 0.0;
    case Op::logical_or: return a != 0 || b != 0 ? 1.0 : 0.0;
    case Op::select: return a != 0 ? b : c;
  }
  return 0.0;
}

void ScalarProgram::evaluate(std::span<const double> in, std::span<double> out) const {
  std::vector<double> values;
  values.reserve(instrs_.size());
  const auto at = [&values](int i) { return i < 0 ? 0.0 : values[static_cast<std::size_t>(i)]; };
  for (const ScalarInstr& instr : instrs_) {
    switch (instr.op) {
      case Op::input: values.push_back(in[static_cast<std::size_t>(instr.a)]); break;
      case Op::constant: values.push_back(instr.imm); break;
      case Op::cast: values.push_back(rounded(at(instr.a), instr.type)); break;
      default: {
        const bool integer = !is_float(instr.type);
        values.push_back(evaluate_scalar(instr.op, at(instr.a), at(instr.b), at(instr.c), integer));
      }
    }
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) out[i] = at(outputs_[i]);
}

std::string ScalarProgram::to_string() const {
  // Statements are numbered by themselves, so that the text does not depend on where constants
  // stand among the instructions.
  std::string text;
  std::vector<int> number(instrs_.size(), 0);
  int statements = 0;
  const auto name = [&](int i) {
    const ScalarInstr& instr = instrs_[static_cast<std::size_t>(i)];
    if (instr.op == Op::input) return fmt::format("x{}", instr.a);
    if (instr.op == Op::constant) return fmt::format("{}", instr.imm);
    return fmt::format("t{}", number[static_cast<std::size_t>(i)]);
  };
  for (std::size_t i = 0; i < instrs_.size(); ++i) {
    const ScalarInstr& instr = instrs_[i];
    if (instr.op == Op::input || instr.op == Op::constant) continue;
    number[i] = statements++;
    const ScalarOpInfo& info = scalar_op_info(instr.op);
    text += fmt::format("t{} = {}", number[i], info.name);
    if (instr.op == Op::cast) text += fmt::format("_{}", dtype_name(instr.type));
    text += fmt::format("({}", name(instr.a));
    if (info.arity > 1) text += fmt::format(", {}", name(instr.b));
    if (info.arity > 2) text += fmt::format(", {}", name(instr.c));
    text += "); ";
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (i > 0) text += ", ";
    text += name(outputs_[i]);
  }
  return text;
}

int ScalarProgram::flops() const noexcept {
  return static_cast<int>(std::count_if(instrs_.begin(), instrs_.end(), [](const ScalarInstr& i) {
    return i.op != Op::input && i.op != Op::constant && i.op != Op::cast;
  }));
}

}  // namespace ingot
