#include "ingot/backends/cpu/lower_scalar.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "ingot/base/host_view.h"

namespace ingot {
namespace {

/// The dtype that a lane computes in.
DType dtype_of(Lane lane) noexcept {
  switch (lane) {
    case Lane::f32: return DType::f32;
    case Lane::f64: return DType::f64;
    case Lane::i64: return DType::i64;
    case Lane::mask: return DType::boolean;
  }
  return DType::f32;
}

double cost_of(ScalarOp op, Lane lane) noexcept {
  switch (op) {
    case ScalarOp::exp:
    case ScalarOp::expm1:
    case ScalarOp::log:
    case ScalarOp::log1p:
    case ScalarOp::sin:
    case ScalarOp::cos:
    case ScalarOp::tanh:
    case ScalarOp::sigmoid:
    case ScalarOp::erf: return lane == Lane::f32 ? 1.0 : 10.0;
    case ScalarOp::pow: return 15.0;
    case ScalarOp::div:
    case ScalarOp::sqrt:
    case ScalarOp::rsqrt: return 0.3;
    default: return lane == Lane::f32 || lane == Lane::mask ? 0.08 : 0.5;
  }
}

class Lowering {
 public:
  Lowering(const ScalarProgram& program, std::span<const DType> operand_types)
      : program_(program.typed(operand_types)), operand_types_(operand_types) {}

  LoweredProgram take(std::span<const DType> output_types) {
    count_uses();
    for (const ScalarInstr& instr : program_.instrs()) map_.push_back(lower(instr));
    for (std::size_t i = 0; i < output_types.size(); ++i) {
      const int value = map_[static_cast<std::size_t>(program_.outputs()[i])];
      result_.outputs.push_back({coerce(value, lane_of(output_types[i])), output_types[i]});
    }
    drop_unused();
    return std::move(result_);
  }

 private:
  LoweredValue& value(int i) { return result_.values[static_cast<std::size_t>(i)]; }
  const ScalarInstr& instr_at(int i) const {
    return program_.instrs()[static_cast<std::size_t>(i)];
  }

  void count_uses() {
    uses_.assign(program_.instrs().size(), 0);
    for (const ScalarInstr& instr : program_.instrs()) {
      if (instr.op == ScalarOp::input) continue;
      for (const int arg : {instr.a, instr.b, instr.c}) {
        if (arg >= 0) ++uses_[static_cast<std::size_t>(arg)];
      }
    }
    for (const int output : program_.outputs()) ++uses_[static_cast<std::size_t>(output)];
  }

  int push(LoweredValue value) {
    result_.values.push_back(value);
    return static_cast<int>(result_.values.size()) - 1;
  }

  int constant(double x, Lane lane) {
    LoweredValue v{.kind = LoweredValue::Kind::constant, .lane = lane};
    if (lane == Lane::mask) {
      const std::uint32_t mask = x != 0 ? ~std::uint32_t{0} : 0;
      std::memcpy(v.bits.data(), &mask, sizeof(mask));
    } else {
      HostView{{dtype_of(lane), Shape{}}, v.bits.data()}.set(0, x);
    }
    const int id = push(v);
    constants_.resize(result_.values.size());
    constants_.back() = {true, x};
    return id;
  }
  [[nodiscard]] const std::pair<bool, double>& known(int i) {
    constants_.resize(result_.values.size());
    return constants_[static_cast<std::size_t>(i)];
  }

  int load(int operand, Lane lane) {
    for (std::size_t i = 0; i < result_.values.size(); ++i) {
      const LoweredValue& v = result_.values[i];
      if (v.kind == LoweredValue::Kind::load && v.operand == operand && v.lane == lane) {
        return static_cast<int>(i);
      }
    }
    return push({.kind = LoweredValue::Kind::load, .lane = lane, .operand = operand});
  }

  int cast(int arg, DType dtype) {
    const LoweredValue v = value(arg);
    if (known(arg).first) {
      std::array<std::byte, 8> storage{};
      const HostView view{{dtype, Shape{}}, storage.data()};
      view.set(0, known(arg).second);
      return constant(view.get(0), lane_of(dtype));
    }
    if (lane_of(dtype) == v.lane && dtype == dtype_of(v.lane)) return arg;
    // Integers and bools become f32 while they are loaded.
    if (v.kind == LoweredValue::Kind::load && dtype == DType::f32 &&
        (v.lane == Lane::i64 || v.lane == Lane::mask)) {
      return load(v.operand, Lane::f32);
    }
    return push({.lane = lane_of(dtype),
                 .fn = tile_cast_fn(v.lane, dtype),
                 .arity = 1,
                 .args = {arg, -1, -1},
                 .cost = 0.2});
  }

  int coerce(int arg, Lane lane) {
    if (value(arg).lane == lane) return arg;
    if (known(arg).first) return constant(known(arg).second, lane);
    return cast(arg, dtype_of(lane));
  }

  int lower(const ScalarInstr& instr) {
    switch (instr.op) {
      case ScalarOp::input:
        return load(instr.a, lane_of(operand_types_[static_cast<std::size_t>(instr.a)]));
      case ScalarOp::constant: return constant(instr.imm, Lane::f32);
      case ScalarOp::cast: return cast(map_[static_cast<std::size_t>(instr.a)], instr.type);
      default: return operation(instr);
    }
  }

  int operation(const ScalarInstr& instr) {
    const ScalarOpInfo& info = scalar_op_info(instr.op);
    const std::array<int, 3> from{instr.a, instr.b, instr.c};
    std::array<int, 3> args{-1, -1, -1};
    bool all_known = true;
    for (int k = 0; k < info.arity; ++k) {
      const auto i = static_cast<std::size_t>(k);
      args[i] = map_[static_cast<std::size_t>(from[i])];
      all_known &= known(args[i]).first;
    }
    const auto imm = [&](std::size_t k) { return args[k] < 0 ? 0.0 : known(args[k]).second; };
    if (all_known) {
      return constant(evaluate_scalar(instr.op, imm(0), imm(1), imm(2), !is_float(instr.type)),
                      info.yields_bool ? Lane::mask : lane_of(instr.type));
    }
    // The lane that the operation computes in: of its widest argument that is no constant.
    const bool selects = instr.op == ScalarOp::select;
    const bool logical = instr.op == ScalarOp::logical_and || instr.op == ScalarOp::logical_or ||
                         instr.op == ScalarOp::logical_not;
    Lane lane = logical ? Lane::mask : lane_of(instr.type);
    if (info.yields_bool && !logical) lane = common_lane(args, info.arity);
    if (selects) {
      args[0] = coerce(args[0], Lane::mask);
      if (known(args[0]).first) return coerce(args[imm(0) != 0 ? 1 : 2], lane);
    }
    for (int k = selects ? 1 : 0; k < info.arity; ++k) {
      args[static_cast<std::size_t>(k)] = coerce(args[static_cast<std::size_t>(k)], lane);
    }
    if (selects && lane == Lane::f32 && is_zero(args[2])) {
      if (const int positive = greater_than_zero(args[0]); positive >= 0) {
        return push({.fn = f32_where_positive_fn(),
                     .arity = 2,
                     .args = {positive, args[1], -1},
                     .cost = cost_of(instr.op, lane)});
      }
    }
    if (const int sum = product_sum(instr, args, lane); sum >= 0) return sum;
    const TileFn fn = tile_fn(instr.op, lane);
    if (fn == nullptr && result_.support) {
      result_.support = Support::no(
          fmt::format("{} of {} has no SIMD loop", info.name, dtype_name(dtype_of(lane))));
    }
    return push({.lane = info.yields_bool ? Lane::mask : lane,
                 .fn = fn,
                 .arity = info.arity,
                 .args = args,
                 .cost = cost_of(instr.op, lane)});
  }

  /// Whether the value of an instruction is an f32 product that nothing else reads.
  [[nodiscard]] bool is_product_of_its_own(int instr, int arg) {
    const LoweredValue& v = value(arg);
    return map_[static_cast<std::size_t>(instr)] == arg &&
           uses_[static_cast<std::size_t>(instr)] == 1 && v.kind == LoweredValue::Kind::op &&
           v.fn != nullptr && v.fn == tile_fn(ScalarOp::mul, Lane::f32);
  }

  /// A sum or difference with a product as one operation; -1: it is none.
  int product_sum(const ScalarInstr& instr, const std::array<int, 3>& args, Lane lane) {
    if (lane != Lane::f32 || (instr.op != ScalarOp::add && instr.op != ScalarOp::sub)) return -1;
    const bool first = is_product_of_its_own(instr.a, args[0]);
    if (!first && !is_product_of_its_own(instr.b, args[1])) return -1;
    const LoweredValue product = value(args[first ? 0 : 1]);
    ProductSum kind = ProductSum::add;
    if (instr.op == ScalarOp::sub) kind = first ? ProductSum::sub : ProductSum::rsub;
    return push({.fn = f32_product_sum_fn(kind),
                 .arity = 3,
                 .args = {product.args[0], product.args[1], args[first ? 1 : 0]},
                 .cost = cost_of(instr.op, lane) + cost_of(ScalarOp::mul, lane) / 2});
  }

  [[nodiscard]] bool is_zero(int i) { return known(i).first && known(i).second == 0; }

  /// The f32 value of which a mask says whether it is positive; -1: another mask.
  int greater_than_zero(int mask) {
    const LoweredValue& v = value(mask);
    const bool compares = v.kind == LoweredValue::Kind::op && v.fn != nullptr &&
                          v.fn == tile_fn(ScalarOp::gt, Lane::f32);
    return compares && is_zero(v.args[1]) ? v.args[0] : -1;
  }

  Lane common_lane(const std::array<int, 3>& args, int arity) {
    DType widest = DType::boolean;
    for (int k = 0; k < arity; ++k) {
      const int arg = args[static_cast<std::size_t>(k)];
      if (!known(arg).first) widest = std::min(widest, dtype_of(value(arg).lane));
    }
    return lane_of(widest);
  }

  void drop_unused() {
    std::vector<bool> used(result_.values.size(), false);
    for (const LoweredOutput& output : result_.outputs) {
      used[static_cast<std::size_t>(output.value)] = true;
    }
    for (std::size_t i = used.size(); i-- > 0;) {
      const LoweredValue& v = result_.values[i];
      for (int k = 0; used[i] && k < v.arity; ++k) {
        used[static_cast<std::size_t>(v.args[static_cast<std::size_t>(k)])] = true;
      }
    }
    std::vector<int> renamed(used.size(), -1);
    std::vector<LoweredValue> kept;
    for (std::size_t i = 0; i < used.size(); ++i) {
      if (!used[i]) continue;
      LoweredValue v = result_.values[i];
      for (int k = 0; k < v.arity; ++k) {
        int& arg = v.args[static_cast<std::size_t>(k)];
        arg = renamed[static_cast<std::size_t>(arg)];
      }
      renamed[i] = static_cast<int>(kept.size());
      kept.push_back(v);
    }
    result_.values = std::move(kept);
    for (LoweredOutput& output : result_.outputs) {
      output.value = renamed[static_cast<std::size_t>(output.value)];
    }
  }

  ScalarProgram program_;
  std::span<const DType> operand_types_;
  LoweredProgram result_;
  std::vector<int> map_;                            // instruction -> value
  std::vector<int> uses_;                           // of each instruction's result
  std::vector<std::pair<bool, double>> constants_;  // value -> whether constant, and which
};

/// Whether zeros give zeros, tried with two values of what does not vary.
bool keeps_zero(const ScalarProgram& program, const std::vector<bool>& varies) {
  for (const double sample : {0.7, 1.9}) {
    std::vector<double> in(varies.size());
    for (std::size_t i = 0; i < in.size(); ++i) {
      in[i] = varies[i] ? 0.0 : sample + 0.1 * static_cast<double>(i);
    }
    std::vector<double> out(program.outputs().size());
    program.evaluate(in, out);
    if (std::any_of(out.begin(), out.end(), [](double x) { return x != 0; })) return false;
  }
  return true;
}

}  // namespace

LoweredProgram lower_scalar(const ScalarProgram& program, std::span<const DType> operand_types,
                            const std::vector<bool>& varies, std::span<const DType> output_types) {
  LoweredProgram lowered = Lowering(program, operand_types).take(output_types);
  lowered.keeps_zero = keeps_zero(program.typed(operand_types), varies);
  return lowered;
}

}  // namespace ingot
