// The scalar expression language: what an elementwise op, a reduction combiner or an optimizer's
// update rule does to one element. Every backend's kernels come from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/base/dtype.h"

namespace ingot {

/// Operations on scalars. Comparisons and logical operations give 0 or 1 (type bool).
/// Integer division truncates and gives 0 for a zero divisor; `sign(0)` is 0; `round` is half to
/// even; `min` and `max` propagate NaN.
enum class ScalarOp : std::uint8_t {
  input,     ///< operand number `a` of the program
  constant,  ///< `imm`
  neg,
  abs,
  sign,
  exp,
  expm1,
  log,
  log1p,
  sqrt,
  rsqrt,
  sin,
  cos,
  tanh,
  sigmoid,
  erf,
  floor,
  ceil,
  round,
  is_finite,
  logical_not,
  add,
  sub,
  mul,
  div,
  pow,
  min,
  max,
  lt,
  le,
  gt,
  ge,
  eq,
  ne,
  logical_and,
  logical_or,
  select,  ///< a ? b : c
  cast,    ///< a converted to `type`
};

/// Facts about a ScalarOp: its name in texts (also the name of the elementwise op of the same
/// meaning), its number of arguments, and whether its result is bool.
struct ScalarOpInfo {
  ScalarOp op;
  std::string_view name;
  int arity;
  bool yields_bool;
};
std::span<const ScalarOpInfo> scalar_ops() noexcept;
const ScalarOpInfo& scalar_op_info(ScalarOp op) noexcept;

/// One instruction in SSA form: `a`, `b`, `c` are indices of earlier instructions (of an operand
/// for `input`). `type` is meaningful after ScalarProgram::typed, and for `cast` always.
struct ScalarInstr {
  ScalarOp op = ScalarOp::input;
  int a = -1;
  int b = -1;
  int c = -1;
  double imm = 0.0;
  DType type = DType::f32;
  friend bool operator==(const ScalarInstr&, const ScalarInstr&) = default;
};

/// A straight-line program from `num_inputs` scalars to one or more scalars.
///
/// Text form: statements `name = expr` separated by `;`, then the outputs, separated by `,`:
/// `m2 = mu * m + g; p - lr * m2, m2`. Expressions have `+ - * /`, unary `-`, the comparisons
/// `< <= > >= == !=`, the functions of ScalarOp by name, `cast_f32(x)` and its like, and numbers.
class ScalarProgram {
 public:
  ScalarProgram() = default;
  /// Parses a text; `inputs` are the operands' names in order. Errors: user, invalid_graph, with
  /// the position.
  static ScalarProgram parse(std::string_view text, std::span<const std::string> inputs);

  [[nodiscard]] int num_inputs() const noexcept { return num_inputs_; }
  [[nodiscard]] std::span<const ScalarInstr> instrs() const noexcept { return instrs_; }
  [[nodiscard]] std::span<const int> outputs() const noexcept { return outputs_; }
  [[nodiscard]] bool empty() const noexcept { return outputs_.empty(); }

  /// Building by hand: every call returns the new instruction's index (or an equal one's).
  explicit ScalarProgram(int num_inputs) : num_inputs_(num_inputs) {}
  int add_input(int operand);
  int add_constant(double value);
  int add(ScalarOp op, int a, int b = -1, int c = -1);
  int add_cast(int a, DType type);
  void add_output(int instr) { outputs_.push_back(instr); }
  void set_num_inputs(int n) { num_inputs_ = n; }
  /// Inlines `callee` with its operands bound to instructions `args`; returns its outputs.
  std::vector<int> inline_program(const ScalarProgram& callee, std::span<const int> args);

  /// The program with every instruction's type filled in: arithmetic takes the operands' common
  /// type (constants adapt to the other operand), comparisons give bool.
  [[nodiscard]] ScalarProgram typed(std::span<const DType> input_types) const;

  /// Evaluates in double (the reference semantics); integers are exact to 2^53.
  /// `in` has num_inputs() elements, `out` outputs().size().
  void evaluate(std::span<const double> in, std::span<double> out) const;

  /// Canonical text: one statement an instruction, operands named x0, x1, ...
  [[nodiscard]] std::string to_string() const;
  /// Number of arithmetic operations per element (for cost models).
  [[nodiscard]] int flops() const noexcept;

  friend bool operator==(const ScalarProgram&, const ScalarProgram&) = default;

 private:
  int push(const ScalarInstr& instr);

  int num_inputs_ = 0;
  std::vector<ScalarInstr> instrs_;
  std::vector<int> outputs_;
};

/// The meaning of one operation in double; `integer` selects truncating division.
double evaluate_scalar(ScalarOp op, double a, double b, double c, bool integer) noexcept;

}  // namespace ingot
