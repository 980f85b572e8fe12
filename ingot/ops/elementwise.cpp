// The family of elementwise ops: a table of scalar expressions.
#include <fmt/core.h>

#include <array>
#include <cmath>
#include <deque>
#include <string>
#include <vector>

#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"
#include "ingot/ops/registry.h"

namespace ingot {
namespace {

/// Which dtypes an op takes.
enum class Domain : std::uint8_t { number, real, boolean, any };

struct Row {
  std::string_view name;
  std::string_view summary;
  std::vector<std::string_view> operands;
  std::string_view expr;
  /// One program an operand; see OpDef::grad_exprs.
  std::vector<std::string_view> grads;
  Domain domain = Domain::real;
  /// Where test inputs lie: away from poles and kinks.
  double low = -2.0;
  double high = 2.0;
  std::string_view not_differentiable = {};
};

constexpr std::string_view kStep = "its derivative is zero almost everywhere";
constexpr std::string_view kBool = "its result is bool";

// GELU: Hendrycks and Gimpel 2016, exact form. SiLU: Elfwing et al. 2017. Softplus as log1p(exp(x))
// in the form that does not overflow.
const std::vector<Row>& rows() {
  static const std::vector<Row> kRows{
      {"neg", "-x", {"x"}, "-x", {"-g"}, Domain::number},
      {"abs", "absolute value", {"x"}, "abs(x)", {"g * sign(x)"}, Domain::number},
      {"sign", "-1, 0 or 1", {"x"}, "sign(x)", {""}, Domain::number, -2, 2, kStep},
      {"exp", "e^x", {"x"}, "exp(x)", {"g * y"}},
      {"expm1", "e^x - 1", {"x"}, "expm1(x)", {"g * (y + 1)"}},
      {"log", "natural logarithm", {"x"}, "log(x)", {"g / x"}, Domain::real, 0.5, 3},
      {"log1p", "log(1 + x)", {"x"}, "log1p(x)", {"g / (x + 1)"}, Domain::real, -0.5, 3},
      {"sqrt", "square root", {"x"}, "sqrt(x)", {"g * 0.5 / y"}, Domain::real, 0.5, 3},
      {"rsqrt", "1 / sqrt(x)", {"x"}, "rsqrt(x)", {"g * -0.5 * y / x"}, Domain::real, 0.5, 3},
      {"sin", "sine", {"x"}, "sin(x)", {"g * cos(x)"}},
      {"cos", "cosine", {"x"}, "cos(x)", {"-(g * sin(x))"}},
      {"tanh", "hyperbolic tangent", {"x"}, "tanh(x)", {"g * (1 - y * y)"}},
      {"sigmoid", "1 / (1 + e^-x)", {"x"}, "sigmoid(x)", {"g * y * (1 - y)"}},
      {"erf", "error function", {"x"}, "erf(x)", {"g * 1.1283791670955126 * exp(-(x * x))"}},
      {"floor", "largest integer below", {"x"}, "floor(x)", {""}, Domain::real, -2, 2, kStep},
      {"ceil", "smallest integer above", {"x"}, "ceil(x)", {""}, Domain::real, -2, 2, kStep},
      {"round",
       "nearest integer, half to even",
       {"x"},
       "round(x)",
       {""},
       Domain::real,
       -2,
       2,
       kStep},
      {"is_finite",
       "neither NaN nor infinite",
       {"x"},
       "is_finite(x)",
       {""},
       Domain::real,
       -2,
       2,
       kBool},
      {"logical_not", "not x", {"x"}, "logical_not(x)", {""}, Domain::boolean, 0, 1, kBool},
      {"add", "a + b", {"a", "b"}, "a + b", {"g", "g"}, Domain::number},
      {"sub", "a - b", {"a", "b"}, "a - b", {"g", "-g"}, Domain::number},
      {"mul", "a * b", {"a", "b"}, "a * b", {"g * b", "g * a"}, Domain::number},
      {"div",
       "a / b; integers truncate, and give 0 for b = 0",
       {"a", "b"},
       "a / b",
       {"g / b", "-(g * y / b)"},
       Domain::number,
       0.5,
       3},
      {"pow",
       "a to the power b",
       {"a", "b"},
       "pow(a, b)",
       {"g * b * pow(a, b - 1)", "g * y * log(a)"},
       Domain::real,
       0.5,
       2},
      {"min",
       "the smaller; NaN wins",
       {"a", "b"},
       "min(a, b)",
       {"select(a <= b, g, 0 * g)", "select(a <= b, 0 * g, g)"},
       Domain::number},
      {"max",
       "the larger; NaN wins",
       {"a", "b"},
       "max(a, b)",
       {"select(a >= b, g, 0 * g)", "select(a >= b, 0 * g, g)"},
       Domain::number},
      {"lt", "a < b", {"a", "b"}, "a < b", {"", ""}, Domain::any, -2, 2, kBool},
      {"le", "a <= b", {"a", "b"}, "a <= b", {"", ""}, Domain::any, -2, 2, kBool},
      {"gt", "a > b", {"a", "b"}, "a > b", {"", ""}, Domain::any, -2, 2, kBool},
      {"ge", "a >= b", {"a", "b"}, "a >= b", {"", ""}, Domain::any, -2, 2, kBool},
      {"eq", "a == b", {"a", "b"}, "a == b", {"", ""}, Domain::any, -2, 2, kBool},
      {"ne", "a != b", {"a", "b"}, "a != b", {"", ""}, Domain::any, -2, 2, kBool},
      {"logical_and",
       "a and b",
       {"a", "b"},
       "logical_and(a, b)",
       {"", ""},
       Domain::boolean,
       0,
       1,
       kBool},
      {"logical_or",
       "a or b",
       {"a", "b"},
       "logical_or(a, b)",
       {"", ""},
       Domain::boolean,
       0,
       1,
       kBool},
      {"select",
       "condition ? a : b",
       {"condition", "a", "b"},
       "select(condition, a, b)",
       {"", "select(condition, g, 0 * g)", "select(condition, 0 * g, g)"},
       Domain::any},
      {"relu", "max(x, 0)", {"x"}, "max(x, 0)", {"select(y > 0, g, 0)"}},
      {"leaky_relu",
       "x > 0 ? x : 0.01 x",
       {"x"},
       "select(x > 0, x, 0.01 * x)",
       {"select(x > 0, g, 0.01 * g)"}},
      {"silu",
       "x sigmoid(x)",
       {"x"},
       "x * sigmoid(x)",
       {"s = sigmoid(x); g * s * (1 + x * (1 - s))"}},
      {"gelu",
       "x times the normal distribution function, exact",
       {"x"},
       "0.5 * x * (1 + erf(x * 0.7071067811865476))",
       {"g * (0.5 * (1 + erf(x * 0.7071067811865476)) + x * 0.3989422804014327 * exp(-0.5 * x * "
        "x))"}},
      {"softplus", "log(1 + e^x)", {"x"}, "max(x, 0) + log1p(exp(-abs(x)))", {"g * sigmoid(x)"}},
      {"elu",
       "x > 0 ? x : e^x - 1",
       {"x"},
       "select(x > 0, x, expm1(min(x, 0)))",
       {"select(x > 0, g, g * (y + 1))"}},
  };
  return kRows;
}

bool in_domain(Domain domain, DType dtype) {
  switch (domain) {
    case Domain::number: return dtype != DType::boolean;
    case Domain::real: return is_float(dtype);
    case Domain::boolean: return dtype == DType::boolean;
    case Domain::any: return true;
  }
  return false;
}

template <bool kSelect, Domain kDomain>
std::vector<TensorType> infer(const InferContext& ctx, bool yields_bool) {
  const std::size_t first = kSelect ? 1 : 0;
  if (kSelect) ctx.require(ctx.input(0).dtype == DType::boolean, "C4");
  const DType dtype = ctx.input(first).dtype;
  for (std::size_t i = first; i < ctx.num_inputs(); ++i) {
    ctx.require(ctx.input(i).dtype == dtype, "C1");
  }
  ctx.require(in_domain(kDomain, dtype), "C2");
  const auto shape = broadcast_shapes(ctx.inputs());
  ctx.require(shape.has_value(), "C3");
  return {{yields_bool ? DType::boolean : dtype, *shape}};
}

template <bool kSelect, Domain kDomain, bool kBoolResult>
std::vector<TensorType> infer_fn(const InferContext& ctx) {
  return infer<kSelect, kDomain>(ctx, kBoolResult);
}

InferFn choose_infer(const Row& row) {
  const bool yields_bool = row.not_differentiable == kBool;
  if (row.name == "select") return infer_fn<true, Domain::any, false>;
  switch (row.domain) {
    case Domain::number: return infer_fn<false, Domain::number, false>;
    case Domain::real:
      return yields_bool ? infer_fn<false, Domain::real, true>
                         : infer_fn<false, Domain::real, false>;
    case Domain::boolean: return infer_fn<false, Domain::boolean, true>;
    case Domain::any: return infer_fn<false, Domain::any, true>;
  }
  return nullptr;
}

std::vector<std::string> operand_names(const OpDef& op) {
  std::vector<std::string> names;
  for (const OperandSpec& spec : op.inputs) names.emplace_back(spec.name);
  return names;
}

void reference(const ReferenceContext& ctx) {
  const OpDef& op = ctx.node.op();
  std::vector<DType> types;
  for (const HostView& input : ctx.inputs) types.push_back(input.type.dtype);
  const ScalarProgram program = ScalarProgram::parse(op.expr, operand_names(op)).typed(types);
  const HostView& out = ctx.outputs[0];
  std::vector<double> in(ctx.inputs.size());
  for_each_index(out.type.shape, [&](std::int64_t flat, const auto& index) {
    for (std::size_t i = 0; i < in.size(); ++i) {
      in[i] = ctx.inputs[i].get(broadcast_index(ctx.inputs[i].type.shape, out.type.shape, index));
    }
    double y = 0;
    program.evaluate(in, {&y, 1});
    out.set(flat, y);
  });
}

std::vector<Value> gradient(const GradientContext& ctx) {
  const OpDef& op = ctx.node.op();
  std::vector<std::string> names = operand_names(op);
  names.emplace_back("y");
  names.emplace_back("g");
  std::vector<Value> operands(ctx.inputs.begin(), ctx.inputs.end());
  operands.push_back(ctx.outputs[0]);
  operands.push_back(ctx.grads[0]);
  std::vector<Value> result(ctx.inputs.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (op.grad_exprs[i].empty() || !is_float(ctx.inputs[i].dtype())) continue;
    const ScalarProgram program = ScalarProgram::parse(op.grad_exprs[i], names);
    result[i] =
        ops::sum_to(ops::build_scalar(program, operands, {}).front(), ctx.inputs[i].shape());
  }
  return result;
}

Cost cost(const Node& node) {
  const auto program = ScalarProgram::parse(node.op().expr, operand_names(node.op()));
  return streaming_cost(node, program.flops());
}

// The record does not carry the row, so cases are made per arity from the registry by name.
std::vector<OpCase> cases_for(const Row& row) {
  // Comparisons meet equal operands only among small integers.
  const bool compares = row.domain == Domain::any && row.name != "select";
  const DType dtype = row.domain == Domain::boolean ? DType::boolean
                      : compares                    ? DType::i32
                                                    : DType::f32;
  const auto operand = [&](std::size_t i, Shape shape) {
    if (row.name == "select" && i == 0) return CaseInput{{DType::boolean, shape}, 0, 1};
    return CaseInput{{dtype, shape}, row.low, row.high};
  };
  const std::size_t n = row.operands.size();
  const auto make = [&](std::string name, std::vector<Shape> shapes) {
    OpCase result{std::move(name), {}, {}};
    for (std::size_t i = 0; i < n; ++i)
      result.inputs.push_back(operand(i, shapes[i % shapes.size()]));
    return result;
  };
  std::vector<OpCase> cases{make("vector", {{37}}), make("tensor", {{2, 3, 5, 7}}),
                            make("scalar", {{}}), make("empty", {{0, 3}})};
  if (row.domain == Domain::number || row.domain == Domain::any) {
    const DType other = compares ? DType::f32 : DType::i32;
    OpCase item = make(compares ? "floats" : "integers", {{4, 9}});
    for (CaseInput& input : item.inputs) {
      if (input.type.dtype != DType::boolean) input = {{other, {4, 9}}, -2, 2};
    }
    cases.push_back(std::move(item));
  }
  if (n > 1) {
    cases.push_back(make("broadcast_bias", {{2, 8, 4, 4}, {1, 8, 1, 1}}));
    cases.push_back(make("broadcast_scalar", {{}, {3, 5}}));
    cases.push_back(make("broadcast_both", {{4, 1, 3}, {5, 1}}));
  }
  return cases;
}

std::vector<Constraint> constraints_for(const Row& row) {
  std::vector<Constraint> constraints;
  const bool several = row.operands.size() > 1;
  if (several) {
    constraints.push_back({"C1", "operands must have one dtype", "convert one with cast"});
  }
  switch (row.domain) {
    case Domain::number: constraints.push_back({"C2", "operands must be numbers"}); break;
    case Domain::real: constraints.push_back({"C2", "operands must be floating point"}); break;
    case Domain::boolean: constraints.push_back({"C2", "operands must be bool"}); break;
    case Domain::any: break;
  }
  if (several) {
    constraints.push_back({"C3", "shapes must broadcast",
                           "reshape a per-channel operand to [1,C,1,1] to match [N,C,H,W]"});
  }
  if (row.name == "select") constraints.push_back({"C4", "condition must be bool"});
  return constraints;
}

std::vector<BadCase> bad_cases_for(const Row& row) {
  const std::size_t n = row.operands.size();
  const bool select = row.name == "select";
  const DType good = row.domain == Domain::boolean ? DType::boolean : DType::f32;
  std::vector<BadCase> bad;
  const auto add = [&](std::string name, std::vector<TensorType> types, std::string_view id) {
    std::string got;
    for (const TensorType& type : types) got += (got.empty() ? "" : ", ") + type.to_string();
    std::string rule;
    for (const Constraint& constraint : constraints_for(row)) {
      if (constraint.id == id) rule = constraint.text;
    }
    bad.push_back({std::move(name),
                   std::move(types),
                   {},
                   id,
                   fmt::format("{} \"op\": {}, got {}", row.name, rule, got)});
  };
  const auto operands = [&](DType dtype, Shape first) {
    std::vector<TensorType> types(n, {dtype, {8}});
    if (select) types[0].dtype = DType::boolean;
    types[0].shape = first;
    return types;
  };
  if (n > 1) {
    std::vector<TensorType> types = operands(good, {8});
    types.back().dtype = DType::i32;
    add("dtypes differ", std::move(types), "C1");
    add("shapes do not broadcast", operands(good, {32, 8, 4, 4}), "C3");
  }
  if (row.domain == Domain::number) add("bool", operands(DType::boolean, {8}), "C2");
  if (row.domain == Domain::real) add("integers", operands(DType::i32, {8}), "C2");
  if (row.domain == Domain::boolean) add("numbers", operands(DType::f32, {8}), "C2");
  if (select) add("condition", std::vector<TensorType>(n, {DType::f32, {8}}), "C4");
  return bad;
}

/// cases() has no context, so each row gets its own function through its index.
template <std::size_t kIndex>
std::vector<OpCase> cases_at() {
  return cases_for(rows().at(kIndex));
}
template <std::size_t kIndex>
std::vector<BadCase> bad_cases_at() {
  return bad_cases_for(rows().at(kIndex));
}

struct CaseFns {
  std::vector<OpCase> (*cases)();
  std::vector<BadCase> (*bad_cases)();
};
constexpr std::size_t kMaxRows = 64;
template <std::size_t... kIndices>
constexpr std::array<CaseFns, kMaxRows> make_case_fns(std::index_sequence<kIndices...>) {
  return {CaseFns{cases_at<kIndices>, bad_cases_at<kIndices>}...};
}
constexpr auto kCaseFns = make_case_fns(std::make_index_sequence<kMaxRows>());

OpDef make_record(std::size_t index) {
  const Row& row = rows()[index];
  OpDef op{.name = row.name, .summary = row.summary, .formula = row.expr};
  for (const std::string_view operand : row.operands) op.inputs.push_back({operand, "any shape"});
  op.outputs = {{"y", "the operands' broadcast shape"}};
  op.constraints = constraints_for(row);
  op.infer = choose_infer(row);
  if (row.not_differentiable.empty()) {
    op.gradient = {gradient, {}};
  } else {
    op.gradient = {nullptr, row.not_differentiable};
  }
  op.reference = reference;
  op.batch = elementwise_batch;
  op.cost = cost;
  op.traits = {.elementwise = true, .may_alias = true};
  op.expr = row.expr;
  op.grad_exprs = row.grads;
  op.cases = kCaseFns[index].cases;
  op.bad_cases = kCaseFns[index].bad_cases;
  return op;
}

struct Family {
  std::deque<OpDef> records;
  std::vector<const OpDef*> pointers;
  Family() {
    for (std::size_t i = 0; i < rows().size(); ++i) {
      pointers.push_back(&records.emplace_back(make_record(i)));
    }
  }
};

}  // namespace

std::span<const OpDef* const> elementwise_ops() {
  static const Family family;
  return family.pointers;
}

namespace ops {

Value elementwise(std::string_view name, std::vector<Value> operands, SourceLocation loc) {
  const OpDef* op = find_op(name);
  if (op == nullptr || !op->traits.elementwise) {
    throw user_error(
        ErrorCode::invalid_argument,
        fmt::format("elementwise \"{}\": must name an elementwise op, got no such op", name));
  }
  Graph& graph = operands.front().graph();
  return graph.add(*op, std::move(operands), {}, {}, loc)->output();
}

std::vector<Value> build_scalar(const ScalarProgram& program, std::span<const Value> operands,
                                SourceLocation loc) {
  Graph& graph = operands.front().graph();
  std::vector<DType> types;
  for (const Value& operand : operands) types.push_back(operand.dtype());
  const ScalarProgram typed = program.typed(types);
  // A constant takes the type of what it meets; typed() says which type that is.
  std::vector<Value> values;
  const auto value_of = [&](int i, DType dtype) {
    const ScalarInstr& instr = typed.instrs()[static_cast<std::size_t>(i)];
    return instr.op == ScalarOp::constant ? graph.scalar(instr.imm, dtype, loc)
                                          : values[static_cast<std::size_t>(i)];
  };
  for (const ScalarInstr& instr : typed.instrs()) {
    Value value;
    if (instr.op == ScalarOp::input) {
      value = operands[static_cast<std::size_t>(instr.a)];
    } else if (instr.op == ScalarOp::cast) {
      value = graph
                  .add(*find_op("cast"), {value_of(instr.a, instr.type)}, {{"dtype", instr.type}},
                       {}, loc)
                  ->output();
    } else if (instr.op != ScalarOp::constant) {
      const ScalarOpInfo& info = scalar_op_info(instr.op);
      const auto type_at = [&](int i) { return typed.instrs()[static_cast<std::size_t>(i)]; };
      DType dtype = instr.type;
      if (info.yields_bool && info.arity == 2) {
        dtype = type_at(instr.a).op == ScalarOp::constant ? type_at(instr.b).type
                                                          : type_at(instr.a).type;
      }
      std::vector<Value> args{
          value_of(instr.a, instr.op == ScalarOp::select ? DType::boolean : dtype)};
      if (info.arity > 1) args.push_back(value_of(instr.b, dtype));
      if (info.arity > 2) args.push_back(value_of(instr.c, dtype));
      value = elementwise(info.name, std::move(args), loc);
    }
    values.push_back(value);
  }
  std::vector<Value> results;
  for (const int output : typed.outputs()) {
    results.push_back(value_of(output, typed.instrs()[static_cast<std::size_t>(output)].type));
  }
  return results;
}

Value neg(Value x, SourceLocation loc) { return elementwise("neg", {x}, loc); }
Value abs(Value x, SourceLocation loc) { return elementwise("abs", {x}, loc); }
Value exp(Value x, SourceLocation loc) { return elementwise("exp", {x}, loc); }
Value log(Value x, SourceLocation loc) { return elementwise("log", {x}, loc); }
Value sqrt(Value x, SourceLocation loc) { return elementwise("sqrt", {x}, loc); }
Value rsqrt(Value x, SourceLocation loc) { return elementwise("rsqrt", {x}, loc); }
Value tanh(Value x, SourceLocation loc) { return elementwise("tanh", {x}, loc); }
Value cos(Value x, SourceLocation loc) { return elementwise("cos", {x}, loc); }
Value sigmoid(Value x, SourceLocation loc) { return elementwise("sigmoid", {x}, loc); }
Value relu(Value x, SourceLocation loc) { return elementwise("relu", {x}, loc); }
Value add(Value a, Value b, SourceLocation loc) { return elementwise("add", {a, b}, loc); }
Value sub(Value a, Value b, SourceLocation loc) { return elementwise("sub", {a, b}, loc); }
Value mul(Value a, Value b, SourceLocation loc) { return elementwise("mul", {a, b}, loc); }
Value div(Value a, Value b, SourceLocation loc) { return elementwise("div", {a, b}, loc); }
Value pow(Value a, Value b, SourceLocation loc) { return elementwise("pow", {a, b}, loc); }
Value minimum(Value a, Value b, SourceLocation loc) { return elementwise("min", {a, b}, loc); }
Value maximum(Value a, Value b, SourceLocation loc) { return elementwise("max", {a, b}, loc); }
Value select(Value condition, Value a, Value b, SourceLocation loc) {
  return elementwise("select", {condition, a, b}, loc);
}

}  // namespace ops
}  // namespace ingot
