// What decides a run's result, as plain data.
#pragma once

#include <cstdint>
#include <string>

#include "ingot/data/dataset.h"
#include "ingot/io/json.h"
#include "ingot/optim/optimizer.h"
#include "ingot/optim/schedule.h"
#include "ingot/passes/precision.h"
#include "ingot/runtime/kernel_choices.h"

namespace ingot::train {

/// Lengths of the schedule are given in epochs; the Trainer turns them into steps.
struct ScheduleOptions {
  optim::Schedule::Kind kind = optim::Schedule::Kind::constant;
  std::int64_t epochs = 0;        ///< length of cosine and one-cycle; 0: TrainerOptions::epochs
  double warmup_epochs = 0.0;     ///< linear warm-up, a part of the length
  std::int64_t step_epochs = 30;  ///< step: epochs from one drop to the next
  double gamma = 0.1;             ///< step: factor of a drop
  friend bool operator==(const ScheduleOptions&, const ScheduleOptions&) = default;
};

/// Random changes to the training images.
struct AugmentOptions {
  std::int64_t shift = 0;  ///< most pixels to move an image in each direction
  bool flip = false;       ///< mirror left and right half of the time
  friend bool operator==(const AugmentOptions&, const AugmentOptions&) = default;
};

struct TrainerOptions {
  std::int64_t batch_size = 64;
  std::int64_t epochs = 1;  ///< counted from the start of the run, before any resuming
  double learning_rate = 0.01;
  optim::Rule optimizer = optim::SGD{.momentum = 0.9};
  ScheduleOptions schedule = {};
  double clip_norm = 0.0;  ///< 0: none
  double label_smoothing = 0.0;
  bool decay_vectors = true;  ///< see TrainingRecipe
  Precision precision = Precision::f32;
  std::uint64_t seed = 0;  ///< of weights, dropout, order and augmentation
  AugmentOptions augment = {};
  data::Normalization normalization = {};  ///< of training and test images

  // These change how fast a run is, not what it gives.
  std::string device = "cpu";
  int threads = 0;  ///< 0: INGOT_THREADS, or the number of cores
  /// Choose kernels by timing; other kernels may give results that differ in the last bits.
  Tune tune = Tune::off;
  int loader_workers = 1;  ///< threads that prepare batches; 0: none
  /// Keep the training set on the device where it fits, instead of preparing batches on the host.
  bool resident = true;
  bool shares_gpu = false;  ///< see BackendOptions
};

/// Errors (invalid_argument): `trainer: <what> must be ..., got ...`.
void check_options(const TrainerOptions& options);
/// Also that they fit the training data.
void check_options(const TrainerOptions& options, const data::Dataset& train);

/// Everything but the last group, for a checkpoint; from_json gives an equal value. Errors of
/// reading (invalid_data): a member missing or of a wrong type.
io::Json options_to_json(const TrainerOptions& options);
TrainerOptions options_from_json(const io::Json& json);

/// "sgd" and "adamw" with PyTorch's defaults (SGD with momentum 0.9). Errors: unknown name, with
/// the names there are.
optim::Rule parse_optimizer(std::string_view name);
std::string_view optimizer_name(const optim::Rule& rule) noexcept;
std::string_view schedule_name(optim::Schedule::Kind kind) noexcept;

/// The schedule in steps. Errors: those of check_options.
optim::Schedule schedule_in_steps(const TrainerOptions& options, std::int64_t steps_per_epoch);

}  // namespace ingot::train
