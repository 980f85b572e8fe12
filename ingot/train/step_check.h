// Is a training step right? One step of two Executables compared value by value, against what
// rounding alone may do to it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingot/engine/executable.h"
#include "ingot/ir/graph.h"
#include "ingot/passes/precision.h"
#include "ingot/runtime/backend.h"
#include "ingot/runtime/variable_store.h"

namespace ingot::train {

/// What the first step from a store's variables computed: the fetch "loss" and every gradient. Of a
/// recipe whose optimizer state is the gradient after one step, as momentum's is.
using StepOutcome = std::vector<std::pair<std::string, HostTensor>>;
inline constexpr std::string_view kLossResult = "loss";
StepOutcome take_first_step(Executable& exe, const VariableStore& store,
                            std::span<const Feed> feeds);

/// By how much nudge_parameters() moves a parameter, relatively: what the rounding of one f32 sum
/// of a thousand products in order comes to (sqrt(n / 2) units of 2^-24, Higham, Accuracy and
/// Stability of Numerical Algorithms, section 2.8).
inline constexpr double kNudge = 0x1p-19;

/// The same for a step in a precision: what it rounds operands by.
double nudge_of(Precision precision) noexcept;

/// Multiplies every element of every parameter by its own 1 + u, u uniform in [-nudge, nudge].
/// The step from there shows how far rounding alone may carry each of the step's results.
void nudge_parameters(VariableStore& store, double nudge = kNudge);

/// Gives every layer with running statistics a scale in [0.5, 1) and a shift in [1, 2): a point at
/// which a deep net's gradients are well conditioned, few ReLUs being near their kink, while no
/// scale or shift is one that a kernel might leave out unseen.
void spread_scales_and_shifts(VariableStore& store);

/// Two values of one type, by L2 norms.
struct L2Distance {
  double difference = 0;  ///< |got - want|
  double norm = 0;        ///< |want|
};
L2Distance l2_distance(const HostTensor& got, const HostTensor& want);
/// What of got - want lies along `direction`, signed; 0 where that is zero.
double component(const HostTensor& got, const HostTensor& want, const HostTensor& direction);

/// |got - want| / |want| in the L2 norm; |got| where `want` is zero.
double relative_distance(const HostTensor& got, const HostTensor& want);

/// How many times the nudged step's distance a right step may have: both round, forwards and
/// backwards, in orders of their own, and single ReLUs near their kink may fall on either side.
inline constexpr double kRoundings = 8;

struct StepDifference {
  double distance = 0;       ///< greatest relative L2 distance of a result
  double over_rounding = 0;  ///< greatest distance as a multiple of the nudged step's
  std::string worst = {};    ///< the result that has it
  int checked = 0;
  int unchecked = 0;  ///< results that rounding alone moves by more than a tenth
};
/// Compares `got` with `want`; `nudged` is `want`'s step after nudge_parameters(). A result that
/// rounding moves by more than a tenth says nothing and is counted apart: so is the gradient of a
/// bias before a batch norm, which is zero in exact arithmetic. Of a result that is more than
/// kRoundings away, what the furthest of `noisy` does to it counts, as far as there are some
/// (noisy_first_steps()). Errors (internal): results of other names. In a precision, rounding takes
/// every result at least as far as half of its nudge.
StepDifference compare_steps(const StepOutcome& got, const StepOutcome& want,
                             const StepOutcome& nudged, std::span<const StepOutcome> noisy = {},
                             Precision precision = Precision::f32);

/// Steps of the Graph with twice the ops' rounding at random in it (see rounding_noise.h), each
/// from the variables of `start`: what a nudge does not move, such as a single ReLU near its kink
/// or a sum that cancels out, shows there. Feeds lie where `backend` reads them.
std::vector<StepOutcome> noisy_first_steps(const Graph& graph, std::shared_ptr<Backend> backend,
                                           const VariableStore& start, std::span<const Feed> feeds);

/// Errors (internal, numerics): a result further away than kRoundings; more than one result in ten
/// that says nothing, in bf16 and f16 all. `what` names what the step was compared with.
void require_agreement(const StepDifference& difference, std::string_view what,
                       Precision precision = Precision::f32);

}  // namespace ingot::train
