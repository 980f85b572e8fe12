// Dynamic loss scaling for gradients in f16, as torch.amp.GradScaler does it.
#pragma once

#include <cstdint>

#include "ingot/ir/graph.h"

namespace ingot::optim {

/// The scale starts at `initial`; a step whose gradients overflow multiplies it by `backoff_factor`
/// and changes nothing else, `growth_interval` steps in a row without one by `growth_factor`.
struct LossScaling {
  double initial = 65536.0;
  double growth_factor = 2.0;
  double backoff_factor = 0.5;
  std::int64_t growth_interval = 2000;
};

/// Variables of the role counter: the scale f32[], the good steps since it last changed i32[], and
/// the updates that were applied i64[].
inline constexpr const char* kLossScale = "loss_scale";
inline constexpr const char* kGoodSteps = "loss_scale.good_steps";
inline constexpr const char* kUpdates = "loss_scale.updates";

/// Errors (user): factors that are not on their side of 1, an interval or a scale below 1.
void check_loss_scaling(const LossScaling& scaling);

/// What the loss is multiplied by in this step.
Value loss_scale(Graph& graph, const LossScaling& scaling);
/// Updates done before this step.
Value update_count(Graph& graph);
/// Assigns what follows for the scale and the counters from whether this step's gradients are
/// `finite` (bool[]).
void update_loss_scale(Graph& graph, const LossScaling& scaling, Value finite);

}  // namespace ingot::optim
