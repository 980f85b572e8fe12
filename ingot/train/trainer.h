// Training, evaluation and prediction on one set of variables.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingot/data/dataset.h"
#include "ingot/nn/module.h"
#include "ingot/runtime/variable_store.h"
#include "ingot/train/options.h"

namespace ingot::train {

/// Means over a data set.
struct Metrics {
  double loss = 0;
  double accuracy = 0;  ///< in [0, 1]
  std::int64_t samples = 0;
};

/// Where a run is, for a progress display.
struct Progress {
  std::int64_t epoch = 0;  ///< from 1
  std::int64_t epochs = 0;
  std::int64_t batch = 0;  ///< batches done in this epoch
  std::int64_t batches = 0;
  std::int64_t step = 0;  ///< steps done in the run
  Metrics train;          ///< of this epoch so far
  double learning_rate = 0;
  double steps_per_second = 0;  ///< of this epoch so far
  double seconds_left = 0;      ///< of all epochs
};

/// One finished epoch.
struct EpochReport {
  std::int64_t epoch = 0;    ///< from 1
  std::int64_t step = 0;     ///< steps done in the run
  Metrics train;             ///< while training, each batch before its update
  Metrics test;              ///< after the epoch; no samples without a test set
  double learning_rate = 0;  ///< of the last step
  double steps_per_second = 0;
  double seconds = 0;  ///< training and evaluation
};

struct FitReport {
  std::vector<EpochReport> epochs;  ///< those that this call finished
  std::int64_t steps = 0;           ///< that this call ran
  double seconds = 0;
  double steps_per_second = 0;  ///< evaluation and compiling apart
  double time_to_first_step_seconds = 0;
  bool stopped = false;  ///< by FitCallbacks::stop
};

struct FitCallbacks {
  std::function<void(const EpochReport&)> on_epoch = {};
  /// About every `interval_seconds`, between steps.
  std::function<void(const Progress&)> on_interval = {};
  double interval_seconds = 1.0;
  /// Looked at between steps, of evaluation too; once true, fit() returns and a later fit()
  /// continues.
  const std::atomic<bool>* stop = nullptr;
};

struct Predictions {
  HostTensor logits;  ///< f32 [N,classes]
  std::vector<std::int32_t> classes;
};

/// Owns the variables of a model and its optimizer, and the Executables that work on them: one a
/// kind (training, evaluation, prediction) and batch size, so that a ragged last batch counts as it
/// is. Use from one thread at a time.
class Trainer {
 public:
  /// Errors: check_options; unknown device.
  Trainer(std::shared_ptr<const nn::Module> model, TrainerOptions options);
  template <std::derived_from<nn::Module> M>
  explicit Trainer(M model, TrainerOptions options = {})
      : Trainer(std::make_shared<const M>(std::move(model)), std::move(options)) {}
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Trains until options().epochs epochs are done, from wherever the run is, and evaluates on
  /// `test` after each; the data must be the same from call to call. Errors: a step that fails
  /// (numerics, invalid_data; the variables are then as before it); those of compile and Loader.
  FitReport fit(const data::Dataset& train, const data::Dataset& test,
                const FitCallbacks& callbacks = {});
  FitReport fit(const data::Dataset& train, const FitCallbacks& callbacks = {});
  FitReport fit(const data::DatasetPair& data, const FitCallbacks& callbacks = {}) {
    return fit(data.train, data.test, callbacks);
  }

  /// Changes nothing. The last batch may be smaller.
  Metrics evaluate(const data::Dataset& dataset);
  /// `images` u8 or f32 [N,C,H,W], normalised like the training images.
  Predictions predict(const HostTensor& images);

  /// Writes the run's folder (made when missing) so that a crash at any time leaves the old
  /// checkpoint or the new one; see io/checkpoint.h. `extra` is kept for the caller.
  void save(const std::filesystem::path& folder, const io::Json& extra = {});
  /// Makes the variables and the position those of a checkpoint; fit() then continues bit by bit as
  /// if there had been no break. Errors: those of read_checkpoint; variables that the model lacks
  /// or has in another shape.
  void load(const std::filesystem::path& folder);

  [[nodiscard]] const TrainerOptions& options() const noexcept;
  [[nodiscard]] VariableStore& variables() noexcept;
  /// Steps and whole epochs done since the start of the run.
  [[nodiscard]] std::int64_t step() const noexcept;
  [[nodiscard]] std::int64_t epochs_done() const noexcept;
  /// What implements each op of the training step, in order: `op "node": implementation`; empty
  /// before the first fit().
  [[nodiscard]] const std::vector<std::string>& kernel_choices() const noexcept;
  /// What a user should know and no error says, e.g. that other kernels run than in the checkpoint.
  [[nodiscard]] const std::vector<std::string>& notes() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The options, and `extra`, that a checkpoint was saved with.
struct SavedRun {
  TrainerOptions options;
  io::Json extra;
};
SavedRun read_saved_run(const std::filesystem::path& folder);

}  // namespace ingot::train
