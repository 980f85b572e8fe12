#include "ingot/backends/cuda/kernels/element.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "ingot/backends/cuda/kernels/strides.h"
#include "ingot/base/error.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"

namespace ingot::cuda {

std::string_view storage_type(DType dtype) {
  switch (dtype) {
    case DType::f64: return "double";
    case DType::f32: return "float";
    case DType::f16: return "f16";
    case DType::bf16: return "bf16";
    case DType::i64: return "i64";
    case DType::i32: return "int";
    case DType::i8: return "signed char";
    case DType::u8: return "u8";
    case DType::boolean: return "bool8";
  }
  return "";
}

std::string_view compute_type(DType dtype) {
  if (dtype == DType::f64) return "double";
  if (dtype == DType::boolean) return "bool";
  return is_float(dtype) ? "float" : "i64";
}

std::string pointer_to(int slot, DType dtype, bool writable) {
  return fmt::format("(({}{}*)@{}@)", writable ? "" : "const ", storage_type(dtype), slot);
}

std::string store_text(int slot, DType dtype, const std::string& at, const std::string& value,
                       bool early) {
  return fmt::format("@={}|{}{}|{}|{}@\n", slot, storage_type(dtype), early ? "~" : "", at, value);
}

std::string store_row_text(int slot, const std::string& at, const std::string& values, int n) {
  return fmt::format("@={}|float*{}|{}|{}@\n", slot, n, at, values);
}

std::string early_type(int slot) { return fmt::format("@:{}|@", slot); }

std::string early_load(int slot, const std::string& at) {
  return fmt::format("@:{}|{}@", slot, at);
}

std::string literal(double value, DType dtype) {
  const bool wide = dtype == DType::f64;
  if (is_integer(dtype)) return fmt::format("(i64){}ll", static_cast<std::int64_t>(value));
  if (dtype == DType::boolean) return value != 0 ? "true" : "false";
  if (std::isnan(value)) return wide ? "(0.0 / 0.0)" : "(infinity() - infinity())";
  if (std::isinf(value)) {
    return fmt::format("({}{}infinity())", value < 0 ? "-" : "", wide ? "(double)" : "");
  }
  return fmt::format("{:a}{}", wide ? value : static_cast<double>(static_cast<float>(value)),
                     wide ? "" : "f");
}

std::string constant_text(const Value& constant) {
  const auto& tensor = *constant.node()->attr<TensorAttr>("value").tensor;
  const auto view = std::as_const(tensor).view();
  if (!is_integer(constant.dtype())) return literal(view.get(0), constant.dtype());
  // A double has no room for all of 64 bits, and C++ no literal for the least number.
  return fmt::format("(i64){}ull", static_cast<std::uint64_t>(view.get_int(0)));
}

Region region_of(const Node& node, std::span<const int> inputs) {
  Region region;
  const auto sort = [&region](const Node& inner) {
    if (is_reduction(inner)) {
      region.reductions.push_back(&inner);
    } else if (!is_pointwise(inner) && &inner.op() != &reorder_op()) {
      region.producer = &inner;
    }
  };
  if (node.body() == nullptr) {
    for (std::size_t i = 0; i < inputs.size(); ++i)
      region.operands.emplace(node.input(i), inputs[i]);
    for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
      region.results.push_back(const_cast<Node&>(node).output(i));
    }
    sort(node);
    return region;
  }
  region.is_body = true;
  for (const auto& inner : node.body()->nodes()) {
    if (&inner->op() == &argument_op()) {
      const auto index = static_cast<std::size_t>(inner->integer("index"));
      region.operands.emplace(inner->output(), inputs[index]);
    } else if (&inner->op() != &constant_op()) {
      sort(*inner);
    }
  }
  for (const Fetch& fetch : node.body()->fetches()) region.results.push_back(fetch.value);
  return region;
}

std::vector<std::string> write_decode(std::string& code, const std::string& prefix,
                                      const std::string& index, const Shape& dims) {
  std::vector<std::string> names;
  for (int axis = 0; axis < dims.rank(); ++axis) names.push_back(fmt::format("{}{}", prefix, axis));
  const bool wide = dims.numel() >= (std::int64_t{1} << 31);
  const std::string_view type = wide ? "u64" : "u32";
  std::int64_t below = 1;
  for (int axis = dims.rank() - 1; axis >= 0; --axis) {
    const std::int64_t size = std::max<std::int64_t>(dims[axis], 1);
    const std::string quotient = below == 1 ? fmt::format("({}){}", type, index)
                                            : fmt::format("({}){} / {}u", type, index, below);
    // The outermost coordinate needs no remainder.
    bool outermost = true;
    for (int outer = 0; outer < axis; ++outer) outermost &= dims[outer] == 1;
    code += dims[axis] == 1
                ? fmt::format("const {} {} = 0;\n", type, names[static_cast<std::size_t>(axis)])
            : outermost ? fmt::format("const {} {} = {};\n", type,
                                      names[static_cast<std::size_t>(axis)], quotient)
                        : fmt::format("const {} {} = {} % {}u;\n", type,
                                      names[static_cast<std::size_t>(axis)], quotient, size);
    below *= size;
  }
  return names;
}

std::string offset_text(std::span<const std::string> coordinates,
                        std::span<const std::int64_t> strides) {
  std::string text;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    if (strides[i] == 0) continue;
    if (!text.empty()) text += " + ";
    text += strides[i] == 1 ? fmt::format("(i64){}", coordinates[i])
                            : fmt::format("(i64){} * {}", coordinates[i], strides[i]);
  }
  return text.empty() ? "0" : text;
}

std::vector<std::int64_t> broadcast_strides(const Shape& shape, const Shape& to,
                                            const Layout& layout) {
  std::vector<std::int64_t> strides(static_cast<std::size_t>(to.rank()), 0);
  const auto laid_out = strides_of(layout, shape);
  if (!laid_out)
    throw internal_error(
        fmt::format("cuda: the layout {} has no strides", layout.to_string(shape.rank())));
  const std::vector<std::int64_t>& own = laid_out->step;
  const int lead = to.rank() - shape.rank();
  for (int axis = std::max(0, -lead); axis < shape.rank(); ++axis) {
    if (shape[axis] != 1) {
      const int there = axis + lead;
      strides[static_cast<std::size_t>(there)] = own[static_cast<std::size_t>(axis)];
    }
  }
  return strides;
}

std::string convert_text(const std::string& expression, DType from, DType to) {
  if (from == to) return expression;
  switch (to) {
    case DType::f64: return fmt::format("(double)({})", expression);
    case DType::f32: return fmt::format("(float)({})", expression);
    case DType::f16: return fmt::format("f16_to_f32(f32_to_f16((float)({})))", expression);
    case DType::bf16: return fmt::format("bf16_to_f32(f32_to_bf16((float)({})))", expression);
    case DType::i64: return fmt::format("to_i64({})", expression);
    case DType::i32:
      return fmt::format("clamp_int(to_i64({}), -2147483647ll - 1, 2147483647ll)", expression);
    case DType::i8: return fmt::format("clamp_int(to_i64({}), -128, 127)", expression);
    case DType::u8: return fmt::format("clamp_int(to_i64({}), 0, 255)", expression);
    case DType::boolean: return fmt::format("(({}) != 0)", expression);
  }
  return expression;
}

namespace {

/// How an operation is written; %a, %b, %c are the arguments, each already of the right type.
/// Functions of C whose float form has the suffix f are marked by '~'.
std::string_view form_of(ScalarOp op) {
  switch (op) {
    case ScalarOp::neg: return "-(%a)";
    case ScalarOp::abs: return "op_abs(%a)";
    case ScalarOp::sign: return "op_sign(%a)";
    case ScalarOp::exp: return "exp~(%a)";
    case ScalarOp::expm1: return "expm1~(%a)";
    case ScalarOp::log: return "log~(%a)";
    case ScalarOp::log1p: return "log1p~(%a)";
    case ScalarOp::sqrt: return "sqrt~(%a)";
    case ScalarOp::rsqrt: return "op_rsqrt(%a)";
    case ScalarOp::sin: return "sin~(%a)";
    case ScalarOp::cos: return "cos~(%a)";
    case ScalarOp::tanh: return "tanh~(%a)";
    case ScalarOp::sigmoid: return "op_sigmoid(%a)";
    case ScalarOp::erf: return "erf~(%a)";
    case ScalarOp::floor: return "floor~(%a)";
    case ScalarOp::ceil: return "ceil~(%a)";
    case ScalarOp::round: return "rint~(%a)";
    case ScalarOp::is_finite: return "op_finite(%a)";
    case ScalarOp::logical_not: return "((%a) == 0)";
    case ScalarOp::add: return "(%a) + (%b)";
    case ScalarOp::sub: return "(%a) - (%b)";
    case ScalarOp::mul: return "(%a) * (%b)";
    case ScalarOp::div: return "op_div(%a, %b)";
    case ScalarOp::pow: return "op_pow(%a, %b)";
    case ScalarOp::min: return "op_min(%a, %b)";
    case ScalarOp::max: return "op_max(%a, %b)";
    case ScalarOp::lt: return "(%a) < (%b)";
    case ScalarOp::le: return "(%a) <= (%b)";
    case ScalarOp::gt: return "(%a) > (%b)";
    case ScalarOp::ge: return "(%a) >= (%b)";
    case ScalarOp::eq: return "(%a) == (%b)";
    case ScalarOp::ne: return "(%a) != (%b)";
    case ScalarOp::logical_and: return "(%a) != 0 && (%b) != 0";
    case ScalarOp::logical_or: return "(%a) != 0 || (%b) != 0";
    case ScalarOp::select: return "(%a) ? (%b) : (%c)";
    case ScalarOp::input:
    case ScalarOp::constant:
    case ScalarOp::cast: break;
  }
  return "%a";
}

std::string fill_form(std::string_view form, DType type, std::span<const std::string> arguments) {
  std::string text;
  for (std::size_t i = 0; i < form.size(); ++i) {
    if (form[i] == '~') {
      if (type != DType::f64) text += 'f';
    } else if (form[i] == '%') {
      text += arguments[static_cast<std::size_t>(form[++i] - 'a')];
    } else {
      text += form[i];
    }
  }
  return text;
}

/// Whether the Node is one scalar operation on its operands, or on its operand and a constant.
bool is_operation(const Node& node, ScalarOp op, std::optional<double> constant = {}) {
  if (node.op().expr.empty() || node.inputs().size() != (constant ? 1U : 2U)) return false;
  std::vector<std::string> names;
  for (const auto& input : node.op().inputs) names.emplace_back(input.name);
  const auto program = ScalarProgram::parse(node.op().expr, names);
  const auto instrs = program.instrs();
  if (instrs.size() != 3 || instrs.back().op != op) return false;
  return std::ranges::all_of(instrs.first(2), [&](const ScalarInstr& instr) {
    return instr.op == ScalarOp::input ||
           (constant && instr.op == ScalarOp::constant && instr.imm == *constant);
  });
}

bool is_zero(const Value& value) {
  if (&value.node()->op() != &constant_op() || value.type().numel() != 1) return false;
  return std::as_const(*value.node()->attr<TensorAttr>("value").tensor).view().get(0) == 0;
}

/// What rounds to zero in a narrower float: up to half of its smallest number. 0: not such a type.
double rounds_to_zero(DType dtype) {
  return dtype == DType::bf16 ? 0x1p-134 : dtype == DType::f16 ? 0x1p-25 : 0.0;
}

}  // namespace

std::vector<std::string> write_program(std::string& code, const ScalarProgram& program,
                                       std::span<const std::string> inputs,
                                       std::span<const DType> types, const std::string& prefix) {
  const ScalarProgram typed = program.typed(types);
  struct Known {
    std::string text;
    DType type;
    bool constant;
    double imm;
  };
  std::vector<Known> known;
  for (const ScalarInstr& instr : typed.instrs()) {
    if (instr.op == ScalarOp::input) {
      known.push_back({inputs[static_cast<std::size_t>(instr.a)], instr.type, false, 0});
      continue;
    }
    if (instr.op == ScalarOp::constant) {
      known.push_back({literal(instr.imm, DType::f32), DType::f32, true, instr.imm});
      continue;
    }
    const ScalarOpInfo& info = scalar_op_info(instr.op);
    const auto at = [&known](int i) -> const Known& { return known[static_cast<std::size_t>(i)]; };
    // Arguments of comparisons meet in the wider type of those that are not constants.
    DType meet = instr.type;
    if (info.yields_bool) {
      meet = at(instr.a).type;
      if (info.arity == 2) {
        const Known& b = at(instr.b);
        if (at(instr.a).constant && !b.constant) {
          meet = b.type;
        } else if (!b.constant) {
          meet = std::min(meet, b.type);
        }
      }
    }
    const auto argument = [&](int i, DType type) {
      if (i < 0) return std::string();
      if (at(i).constant) return literal(at(i).imm, type);
      return at(i).type == type ? at(i).text
                                : fmt::format("({})({})", compute_type(type), at(i).text);
    };
    std::string text;
    if (instr.op == ScalarOp::cast) {
      text = at(instr.a).constant
                 ? convert_text(literal(at(instr.a).imm, DType::f64), DType::f64, instr.type)
                 : convert_text(at(instr.a).text, at(instr.a).type, instr.type);
    } else if (instr.op == ScalarOp::select) {
      const std::string arguments[] = {fmt::format("({}) != 0", at(instr.a).text),
                                       argument(instr.b, instr.type),
                                       argument(instr.c, instr.type)};
      text = fill_form(form_of(instr.op), instr.type, arguments);
    } else {
      const std::string arguments[] = {argument(instr.a, meet), argument(instr.b, meet), ""};
      // Functions of C take integers as doubles.
      const bool through_double =
          is_integer(meet) && form_of(instr.op).find('~') != std::string::npos;
      text = fill_form(form_of(instr.op), through_double ? DType::f64 : meet, arguments);
      if (through_double) text = fmt::format("to_i64((double){})", text);
    }
    const std::string name = fmt::format("{}_{}", prefix, known.size());
    code += fmt::format("const {} {} = {};\n", compute_type(instr.type), name, text);
    known.push_back({name, instr.type, false, 0});
  }
  std::vector<std::string> outputs;
  for (const int output : typed.outputs()) {
    outputs.push_back(known[static_cast<std::size_t>(output)].text);
  }
  return outputs;
}

std::string ElementWriter::fresh() { return fmt::format("v{}", count_++); }

std::string ElementWriter::load(const Value& value, int slot) {
  const Shape& shape = value.shape();
  const auto strides = broadcast_strides(shape, place_.shape, value.layout());
  const bool same =
      value.layout() == place_.layout && (value.layout().is_plain() || shape == place_.shape);
  const bool whole = same && shape.numel() == place_.shape.numel() && !place_.flat.empty();
  const std::string offset = whole ? place_.flat : offset_text(place_.coordinates, strides);
  const std::string name = fresh();
  code_ += fmt::format("const {} {} = get({}, {});\n", compute_type(value.dtype()), name,
                       pointer_to(slot, value.dtype()), offset);
  return name;
}

/// A comparison with zero sees through what keeps the answer: ReLU, and rounding of f32.
std::optional<std::string> ElementWriter::above_zero(const Node& node) {
  if (!is_operation(node, ScalarOp::gt) || !is_zero(node.input(1))) return std::nullopt;
  Value x = node.input(0);
  if (!is_float(x.dtype())) return std::nullopt;
  double least = 0;
  while (!known_.contains(x) && !region_.operands.contains(x)) {
    const Node& maker = *x.node();
    const double rounded = rounds_to_zero(x.dtype());
    const bool rounds =
        &maker.op() == &cast_op() && rounded > 0 && maker.input_type(0).dtype == DType::f32;
    if (!rounds && !is_operation(maker, ScalarOp::max, 0.0)) break;
    if (rounds) least = std::max(least, rounded);
    x = maker.input(0);
  }
  if (x == node.input(0)) return std::nullopt;
  const std::string operand = value(x);
  std::string name = fresh();
  code_ += fmt::format("const bool {} = {} > {};\n", name, operand, literal(least, DType::f32));
  return name;
}

std::string ElementWriter::pointwise(const Node& node) {
  if (auto test = above_zero(node)) return *test;
  const bool same = &node.op() == &broadcast_to_op() || &node.op() == &reorder_op();
  if (same) return value(node.input(0));
  const DType type = node.output_type().dtype;
  if (&node.op() == &cast_op()) {
    const std::string from = value(node.input(0));
    const std::string name = fresh();
    code_ += fmt::format("const {} {} = {};\n", compute_type(type), name,
                         convert_text(from, node.input_type(0).dtype, type));
    return name;
  }
  std::vector<std::string> inputs;
  std::vector<std::string> names;
  std::vector<DType> types;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    inputs.push_back(value(node.input(i)));
    types.push_back(node.input_type(i).dtype);
    names.emplace_back(node.op().inputs[i].name);
  }
  const ScalarProgram program = ScalarProgram::parse(node.op().expr, names);
  return write_program(code_, program, inputs, types, fresh()).front();
}

std::string ElementWriter::value(const Value& value) {
  if (const auto it = known_.find(value); it != known_.end()) return it->second;
  std::string name;
  if (const auto it = region_.operands.find(value); it != region_.operands.end()) {
    name = load(value, it->second);
  } else if (&value.node()->op() == &constant_op()) {
    name = constant_text(value);
  } else if (is_pointwise(*value.node()) || &value.node()->op() == &reorder_op()) {
    name = pointwise(*value.node());
  } else {
    throw internal_error(fmt::format("cuda: {} \"{}\" cannot be written element by element",
                                     value.node()->op().name, value.node()->name()));
  }
  known_.emplace(value, name);
  return name;
}

}  // namespace ingot::cuda
