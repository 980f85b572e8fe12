// Update rules as graph builders.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "ingot/ir/graph.h"

namespace ingot::optim {

/// Stochastic gradient descent as torch.optim.SGD has it (Sutskever et al. 2013).
struct SGD {
  double momentum = 0.0;
  double dampening = 0.0;
  double weight_decay = 0.0;
  bool nesterov = false;
};

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019), as torch.optim.AdamW.
struct AdamW {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
};

using Rule = std::variant<SGD, AdamW>;

/// Errors: coefficients out of range (user, invalid_argument), e.g. `SGD: momentum must not be
/// negative, got -1`.
void check_rule(const Rule& rule);

/// What a step may do to its update before it is applied.
struct UpdateControl {
  Value factor = {};  ///< f32[], multiplies the gradients; none: 1
  Value apply = {};   ///< bool[]; where it is false nothing changes; none: true
};

/// Adds one optimizer_update Node for the group and assigns the results. `learning_rate` is f32[],
/// `step` i64[], the number of steps done before this one. State variables are named
/// "NAME.momentum_buffer", "NAME.exp_avg", "NAME.exp_avg_sq". Gradients that were cast up from a
/// lower precision are read as they were before. Errors: those of check_rule.
void apply_update(Graph& graph, const Rule& rule, std::span<const Value> parameters,
                  std::span<const Value> gradients, Value learning_rate, Value step,
                  const UpdateControl& control = {});

/// A gradient as it was before a cast from f16 or bf16 to f32, which changes no value.
Value before_widening(Value gradient);

/// What to multiply the gradients by so that their global norm is at most `max_norm`, as
/// torch.nn.utils.clip_grad_norm_: min(1, max_norm / (norm + 1e-6)). `factor` (may be none) is
/// what they are multiplied by already; the result includes it.
Value clip_factor(Graph& graph, std::span<const Value> gradients, double max_norm,
                  Value factor = {});

/// Scales the gradients so that their global norm is at most `max_norm`. Returns the scaled
/// gradients; `norm` (may be null) receives the norm before.
std::vector<Value> clip_by_global_norm(Graph& graph, std::span<const Value> gradients,
                                       double max_norm, Value* norm = nullptr);

}  // namespace ingot::optim
