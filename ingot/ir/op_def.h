// The record that defines an op. Everything the project knows of an op is in one OpDef.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/base/host_view.h"
#include "ingot/base/step_error.h"
#include "ingot/ir/attr.h"
#include "ingot/ir/graph.h"

namespace ingot {

/// A rule that inference checks; `id` is cited by code, tests and messages' readers ("C3").
struct Constraint {
  std::string_view id;
  std::string_view text;       ///< the rule, as the message says it: "input must have rank 4"
  std::string_view help = {};  ///< the remedy, shown as `help:`
};

struct OperandSpec {
  std::string_view name;
  std::string_view doc;
  bool variadic = false;  ///< the last operand only: any number, also none
  bool optional = false;  ///< may be left out at the end
};

/// What inference sees, and how it reports.
class InferContext {
 public:
  InferContext(const OpDef& op, std::string_view node_name, std::span<const TensorType> inputs,
               std::span<const AttrValue> attrs)
      : op_(op), node_name_(node_name), inputs_(inputs), attrs_(attrs) {}

  [[nodiscard]] std::size_t num_inputs() const noexcept { return inputs_.size(); }
  [[nodiscard]] const TensorType& input(std::size_t i) const { return inputs_[i]; }
  [[nodiscard]] std::span<const TensorType> inputs() const noexcept { return inputs_; }
  template <typename T>
  [[nodiscard]] const T& attr(std::string_view name) const {
    return std::get<T>(attr_value(name));
  }
  [[nodiscard]] std::int64_t integer(std::string_view name) const {
    return attr<std::int64_t>(name);
  }
  [[nodiscard]] const std::vector<std::int64_t>& integers(std::string_view name) const {
    return attr<std::vector<std::int64_t>>(name);
  }

  /// Throws the error `op "node": constraint's text, got {got}` when `holds` is false. `got` is
  /// called only then. Unless it returns something, the operands' types are shown.
  void require(bool holds, std::string_view constraint_id,
               const std::function<std::string()>& got = {}) const;
  /// "f32[1,3,8,8], f32[8,3,3,3]"
  [[nodiscard]] std::string input_types() const;

 private:
  [[nodiscard]] const AttrValue& attr_value(std::string_view name) const;

  const OpDef& op_;
  std::string_view node_name_;
  std::span<const TensorType> inputs_;
  std::span<const AttrValue> attrs_;
};
using InferFn = std::vector<TensorType> (*)(const InferContext&);

/// What a gradient sees: the forward Node's Values and the gradients of its outputs (a null Value
/// where nothing flows back). It returns one Value an input, null where the input has none.
struct GradientContext {
  const Node& node;
  std::span<const Value> inputs;
  std::span<const Value> outputs;
  std::span<const Value> grads;
};
using GradientFn = std::vector<Value> (*)(const GradientContext&);

struct Gradient {
  GradientFn fn = nullptr;
  std::string_view not_differentiable = {};  ///< the reason when fn is null
};

/// What a reference kernel sees. Everything is packed, row-major host memory.
struct ReferenceContext {
  const Node& node;
  std::span<const HostView> inputs;
  std::span<const HostView> outputs;
  StepError* error = nullptr;  ///< for rules only data can break; never null in a run
};
using ReferenceFn = void (*)(const ReferenceContext&);

/// How outputs relate to the batch, given the axis of each input that is the batch (-1: none).
enum class BatchKind : std::uint8_t {
  none,  ///< the output does not depend on the batch
  kept,  ///< item b of the output depends on item b of the inputs alone; `axis` is its batch axis
  reduced,  ///< the output is a sum over the batch (of a per-item term)
  mixed,    ///< anything else
};
struct BatchResult {
  BatchKind kind = BatchKind::mixed;
  int axis = -1;
};
using BatchFn = std::vector<BatchResult> (*)(const Node&, std::span<const int> input_axes);
/// The attributes of the same Node for a batch of `items` (at least 1) on the given axes. Asked
/// only where the batch rule says kept or reduced of every output.
using RebatchFn = AttrList (*)(const Node&, std::span<const int> input_axes, std::int64_t items);

struct Cost {
  double flops = 0;
  double bytes = 0;
};
using CostFn = Cost (*)(const Node&);

/// |got - want| <= absolute + relative * |want|, per element.
struct Tolerance {
  double relative = 0;
  double absolute = 0;
};
/// Derived from the unit roundoff of the dtype and the length of the longest sum.
Tolerance default_tolerance(DType dtype, std::int64_t reduction_length);
using ToleranceFn = Tolerance (*)(DType, std::int64_t reduction_length);
/// That of one Node's results: its record's, or for a contraction in tf32 math the one that the
/// rounding of its operands gives.
Tolerance node_tolerance(const Node& node, DType dtype, std::int64_t reduction_length);
using ReductionLengthFn = std::int64_t (*)(const Node&);

struct Traits {
  bool elementwise = false;  ///< defined by `expr` with NumPy broadcasting
  bool may_alias = false;    ///< output 0 may share input 0's memory when that input dies here
  bool view = false;         ///< output 0 is input 0's bytes under another shape
  bool source = false;       ///< no inputs: placeholder, variable, constant, argument
  bool side_effect = false;  ///< a root of the Graph: assign
  bool random = false;
  bool composite = false;  ///< defined by `body`
  bool reduction = false;
  bool any_layouts = false;  ///< each operand may lie in memory as it likes: order does not matter
  bool contraction = false;  ///< sums products of two operands; has the attribute `math`
};

/// One operand of a test case: its type and where its values lie.
struct CaseInput {
  TensorType type;
  double low = -1.0;  ///< floats are uniform in [low, high); integers in [low, high]
  double high = 1.0;
};
struct OpCase {
  std::string name;
  std::vector<CaseInput> inputs;
  AttrList attrs = {};
  bool differentiable = true;  ///< false: the case sits on a kink, skip finite differences
};
struct BadCase {
  std::string name;
  std::vector<TensorType> inputs;
  AttrList attrs;
  std::string_view constraint;
  std::string message;  ///< the exact first line, the Node being named "op"
};

/// An operand whose axis scales with an axis of output 0: multiplying the operand's slices along
/// `operand_axis` by some factors multiplies the output's along `output_axis` by the same ones.
struct ScaledOperand {
  int operand = 0;
  int operand_axis = 0;
  int output_axis = 0;
};
using ScaledOperandFn = ScaledOperand (*)(const Node&);

/// Builds a composite's body: given the argument Values, returns the results.
using BodyFn = std::vector<Value> (*)(const Node& node, std::span<const Value> inputs);

/// The record of one op.
struct OpDef {
  std::string_view name;
  std::string_view summary;
  std::string_view formula = {};
  std::vector<OperandSpec> inputs = {};
  std::vector<OperandSpec> outputs = {};
  std::vector<AttrSpec> attrs = {};
  std::vector<Constraint> constraints = {};
  InferFn infer = nullptr;
  Gradient gradient = {};
  ReferenceFn reference = nullptr;
  BatchFn batch = nullptr;
  RebatchFn rebatch = nullptr;  ///< null: no attribute depends on the size of the batch
  CostFn cost = nullptr;
  Traits traits = {};
  /// Elementwise ops: the program, and the gradient's program for each input, in terms of the
  /// operands' names, `y` (the output) and `g` (its gradient); empty where it is zero.
  std::string_view expr = {};
  std::vector<std::string_view> grad_exprs = {};
  std::vector<int> f32_operands = {};        ///< operands that stay f32 under mixed precision
  ScaledOperandFn scaled_operand = nullptr;  ///< where per-channel factors can go
  ReductionLengthFn reduction_length = nullptr;
  ToleranceFn tolerance = default_tolerance;
  BodyFn body = nullptr;
  std::vector<OpCase> (*cases)() = nullptr;
  std::vector<BadCase> (*bad_cases)() = nullptr;

  /// Index of the attribute, -1 when the op has none of that name.
  [[nodiscard]] int attr_index(std::string_view attr_name) const noexcept;
  [[nodiscard]] const Constraint& constraint(std::string_view id) const;
};

/// Whether the Node only renames its operand's bytes: a view of plain memory.
bool is_view(const Node& node);

}  // namespace ingot
