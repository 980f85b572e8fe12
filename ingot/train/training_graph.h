// The Graphs of a run: training step, evaluation, prediction.
#pragma once

#include <cstdint>

#include "ingot/ir/graph.h"
#include "ingot/nn/module.h"
#include "ingot/nn/resident_source.h"
#include "ingot/optim/loss_scale.h"
#include "ingot/optim/optimizer.h"
#include "ingot/optim/schedule.h"
#include "ingot/passes/precision.h"

namespace ingot::train {

/// What one training step computes.
struct TrainingRecipe {
  optim::Rule optimizer = optim::SGD{.momentum = 0.9};
  optim::Schedule schedule = {};
  double clip_norm = 0.0;        ///< greatest global norm of the gradients; 0: no clipping
  double label_smoothing = 0.0;  ///< in [0, 1); of the training loss only
  /// Whether biases and normalisations (parameters of rank 1) decay too, as PyTorch's defaults
  /// have it.
  bool decay_vectors = true;
  Precision precision = Precision::f32;  ///< of what lies between the variables and the loss
  optim::LossScaling loss_scaling = {};  ///< with precision f16
};

/// The step counter's name: steps done, i64[].
inline constexpr const char* kStepVariable = "step";

/// Placeholders "input" f32[batch,C,H,W] and "target" i32[batch]; fetches "loss" f32[] (the batch's
/// mean), "correct" i32[] (samples whose largest logit is the target's; the first one of equals)
/// and "lr" f32[] (the learning rate of this step). Assigns every parameter, buffer, optimizer
/// state and the step counter; with precision f16 the loss is scaled for its gradients
/// (optim/loss_scale.h), and a step whose gradients overflow changes the counters alone. Errors: a
/// model whose result is not logits f32[batch,classes]; those of the layers, the optimizer and the
/// schedule.
Graph build_train_graph(const nn::Module& model, const Shape& image_shape, std::int64_t batch,
                        const TrainingRecipe& recipe);
/// The same step on a data set that lies on the device: no placeholders, run_steps(K) runs through
/// K batches. Errors: those of next_batch(), too.
Graph build_resident_train_graph(const nn::Module& model, const nn::ResidentSource& source,
                                 const TrainingRecipe& recipe);
/// The same placeholders; fetches "loss" (without label smoothing) and "correct"; changes nothing.
Graph build_eval_graph(const nn::Module& model, const Shape& image_shape, std::int64_t batch,
                       Precision precision = Precision::f32);
/// Placeholder "input"; fetches "logits" f32[batch,classes] and "class" i32[batch].
Graph build_predict_graph(const nn::Module& model, const Shape& image_shape, std::int64_t batch,
                          Precision precision = Precision::f32);

}  // namespace ingot::train
