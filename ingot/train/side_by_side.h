// Is training right? Two Executables of one Graph step by step from the same weights, and then
// each on its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/engine/compile.h"
#include "ingot/engine/executable.h"
#include "ingot/ir/graph.h"
#include "ingot/passes/precision.h"
#include "ingot/runtime/backend.h"

namespace ingot::train {

/// A Graph of build_train_graph, where it runs, what it is fed there, and how it is compiled.
struct Side {
  const Graph& graph;
  std::shared_ptr<Backend> backend;
  std::function<std::vector<Feed>(std::int64_t step)> feeds;
  CompileOptions compile = {};
};

struct SideBySideOptions {
  int steps = 20;        ///< from the judge's weights
  int free_steps = 100;  ///< each from its own
  std::uint64_t seed = 1;
};

struct SideBySide {
  int steps = 0;           ///< compared
  int skipped = 0;         ///< called off by both: gradients that overflow f16
  int results = 0;         ///< compared: the loss and every gradient of each step
  int drowned = 0;         ///< others, that rounding moves too far for a comparison
  int more_draws = 0;      ///< of noise, for results that the first ones did not explain
  double distance = 0;     ///< greatest relative L2 distance of a result from the judge's
  double over_bound = 0;   ///< greatest distance as a part of its bound
  std::string worst = {};  ///< the result that has it
  int worst_step = 0;
  double scaled = 0;             ///< by how much more the result with the greatest such error as a
                                 ///< part of its bound is of the judge's in all steps, relatively
  double over_scale_bound = 0;   ///< that part
  std::string worst_scale = {};  ///< that result
  int free_steps = 0;
  double free_mean = 0;    ///< greatest relative difference of the losses' running means
  double free_single = 0;  ///< of single losses
  double first_loss = 0;   ///< of the judge's free-running steps
  double last_loss = 0;
};

/// A result may be as far away as noise of four times the ops' rounding takes it: twice, since both
/// sides round, and twice, since errors that are uniform up to a bound have 0.58 of its L2 norm.
inline constexpr double kNoises = 4;
/// Draws of noise in each step: in a net of at most kSmallNet parameters, where a single ReLU that
/// falls to the other side shows, and in a larger one, of which every draw meets some.
inline constexpr int kNoiseDraws = 8;
inline constexpr std::int64_t kSmallNet = 1 << 20;
/// More of them where a result is outside its bound, in a step and in all: where rounding decides
/// on which side of its kink a ReLU falls, every other draw or so falls as the tested side did,
/// which in f32 is the one error that counts in a step of many.
inline constexpr int kMoreDraws = 12;
inline constexpr int kMostDraws = 36;
/// A greater bound says nothing: a result of zeros would be within it.
inline constexpr double kBlindBound = 1;
/// By how much the running means of losses may differ, relatively, and from which part of the
/// free-running steps on: a single small batch's loss in bf16 is rounded by as much.
inline constexpr double kFreeLimit = 0.02;
inline constexpr double kFreeShare = 0.1;

/// Trains on both sides; an optimizer's state after one step from zero must be the gradient, as
/// momentum's is, and the judge's feeds lie on the host. In each of `steps` steps all variables are
/// first the judge's and the optimizer's states zero; the loss and every gradient are compared.
/// They start where spread_scales_and_shifts() takes the initial weights.
///
/// The bound of a result's error in a step is the furthest that with_rounding_noise(graph, kNoises)
/// takes it from the judge's, on the CPU backend, in any step: relatively to the loss, or, of a
/// gradient, to the norm of the step's whole gradient. Rounding errors are as large as what cancels
/// out: a gradient that is zero in exact arithmetic, in all steps or in one, is far below its bound
/// and counted as drowned. What rounds at random errs in every direction alike, a wrong kernel
/// along the gradient, too: the errors' components along noisy results, added up over all steps,
/// may be what components of noise add up to without their signs. That finds a gradient that is
/// scaled where single errors are drowned.
///
/// Then `free_steps` steps of each side by itself, from the initial weights: of losses l[0] to l[k]
/// the means are compared, for every k from kFreeShare on. Errors (internal, numerics): sides that
/// do not skip the same steps.
SideBySide train_side_by_side(const Side& tested, const Side& judge,
                              const SideBySideOptions& options = {});

/// Errors (internal, numerics): a result outside its bound, or scaled; fewer than nine results in
/// ten that can be compared (in bf16, which drowns most gradients of a deep net on few images, one
/// in ten); running means further apart than kFreeLimit. `what` names the judge.
void require_side_by_side(const SideBySide& found, std::string_view what, Precision precision);

}  // namespace ingot::train
