#include "ingot/ir/op_def.h"

#include <fmt/core.h>

#include <cmath>

#include "ingot/base/roundoff.h"

namespace ingot {

int OpDef::attr_index(std::string_view attr_name) const noexcept {
  for (std::size_t i = 0; i < attrs.size(); ++i) {
    if (attrs[i].name == attr_name) return static_cast<int>(i);
  }
  return -1;
}

const Constraint& OpDef::constraint(std::string_view id) const {
  for (const Constraint& constraint : constraints) {
    if (constraint.id == id) return constraint;
  }
  throw internal_error(fmt::format("op {}: no constraint {}", name, id));
}

const AttrValue& InferContext::attr_value(std::string_view name) const {
  const int index = op_.attr_index(name);
  if (index < 0) throw internal_error(fmt::format("op {}: no attribute \"{}\"", op_.name, name));
  return attrs_[static_cast<std::size_t>(index)];
}

void InferContext::require(bool holds, std::string_view constraint_id,
                           const std::function<std::string()>& got) const {
  if (holds) return;
  const Constraint& constraint = op_.constraint(constraint_id);
  Error error = user_error(ErrorCode::invalid_shape,
                           fmt::format("{} \"{}\": {}, got {}", op_.name, node_name_,
                                       constraint.text, got ? got() : input_types()));
  if (!constraint.help.empty()) error.help(constraint.help);
  throw error;
}

std::string InferContext::input_types() const {
  std::string text;
  for (const TensorType& type : inputs_) {
    if (!text.empty()) text += ", ";
    text += type.to_string();
  }
  return text;
}

Tolerance default_tolerance(DType dtype, std::int64_t reduction_length) {
  // Rounding errors of a sum of n terms grow as sqrt(n) when they are independent (Higham, Accuracy
  // and Stability of Numerical Algorithms, 2.8); the factor covers the unlucky and the functions'
  // few ulps.
  const double n = static_cast<double>(reduction_length > 1 ? reduction_length : 1);
  const double bound = unit_roundoff(dtype) * (16.0 + 4.0 * std::sqrt(n));
  return {bound, bound};
}

Tolerance node_tolerance(const Node& node, DType dtype, std::int64_t reduction_length) {
  const OpDef& op = node.op();
  const Tolerance own = op.tolerance(dtype, reduction_length);
  if (!op.traits.contraction || dtype != DType::f32 || node.attr<std::string>("math") != "tf32") {
    return own;
  }
  // tf32 keeps as many bits of an operand as f16 does.
  return op.tolerance(DType::f16, reduction_length);
}

bool is_view(const Node& node) {
  return node.op().traits.view && node.input(0).layout().is_plain() &&
         node.outputs()[0].layout.is_plain();
}

}  // namespace ingot
