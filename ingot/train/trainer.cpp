#include "ingot/train/trainer.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <numeric>
#include <optional>

#include "ingot/base/error.h"
#include "ingot/data/fill_batch.h"
#include "ingot/data/loader.h"
#include "ingot/engine/compile.h"
#include "ingot/train/kernel_cache.h"
#include "ingot/train/resident_data.h"
#include "ingot/train/run_state.h"
#include "ingot/train/training_graph.h"

namespace ingot::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double rate(std::int64_t steps, double seconds) {
  return seconds > 0 ? static_cast<double>(steps) / seconds : 0.0;
}

Metrics means(const EpochSums& sums) {
  if (sums.samples == 0) return {};
  const auto n = static_cast<double>(sums.samples);
  return {sums.loss / n, static_cast<double>(sums.correct) / n, sums.samples};
}

/// An Executable for one batch size, with the places of its scalars in the ring.
struct Compiled {
  Compiled(const Graph& graph, VariableStore& store, std::int64_t batch_size)
      : executable(compile(graph, store)),
        batch(batch_size),
        loss(executable.losses().index_of("loss")),
        correct(executable.losses().index_of("correct")),
        learning_rate(executable.losses().index_of("lr")) {}

  void step(const data::Batch& data) {
    executable.step(
        {{"input", data.images.data, static_cast<std::size_t>(data.images.type.bytes())},
         {"target", data.labels.data, static_cast<std::size_t>(data.labels.type.bytes())}});
  }

  /// Adds what the ring has; gives the newest learning rate.
  void drain(EpochSums& sums, double* newest_rate) {
    while (const auto entry = executable.losses().pop()) {
      const auto at = [&](int index) { return entry->values[static_cast<std::size_t>(index)]; };
      sums.loss += at(loss) * static_cast<double>(batch);
      sums.correct += static_cast<std::int64_t>(at(correct));
      sums.samples += batch;
      if (newest_rate != nullptr) *newest_rate = at(learning_rate);
    }
  }

  Executable executable;
  std::int64_t batch;
  int loss, correct, learning_rate;
};

enum class Mode : std::uint8_t { train, resident_train, eval, predict };

bool trains(Mode mode) { return mode == Mode::train || mode == Mode::resident_train; }

// A call of several steps takes this long at most, so that stopping and progress need not wait.
constexpr double kCallSeconds = 0.02;
constexpr int kMostStepsPerCall = 256;

/// How many steps a call should have.
class CallLength {
 public:
  explicit CallLength(double interval_seconds)
      : seconds_(std::min(kCallSeconds, interval_seconds / 8)) {}
  [[nodiscard]] int steps() const noexcept { return steps_; }
  void took(int steps, double seconds) noexcept {
    if (steps == steps_ && seconds < seconds_ / 2) steps_ = std::min(2 * steps_, kMostStepsPerCall);
    if (seconds > seconds_) steps_ = std::max(1, steps_ / 2);
  }

 private:
  double seconds_;
  int steps_ = 1;
};

std::shared_ptr<const data::Dataset> borrow(const data::Dataset& dataset) {
  return {std::shared_ptr<const void>(), &dataset};
}

}  // namespace

struct Trainer::State {
  State(std::shared_ptr<const nn::Module> m, TrainerOptions o)
      : model(std::move(m)),
        options(checked(std::move(o))),
        cache(options.tune, options.device),
        store(make_backend(options.device, backend_options()), options.seed) {
    keep_choices();
    if (!model) {
      throw user_error(ErrorCode::invalid_argument, "trainer: a model must be given, got none");
    }
  }

  [[nodiscard]] BackendOptions backend_options() const {
    BackendOptions all = cache.backend_options(options.threads);
    all.shares_gpu = options.shares_gpu;
    return all;
  }

  static TrainerOptions checked(TrainerOptions options) {
    check_options(options);
    return options;
  }

  /// Writes what tuning chose; its warnings are notes.
  void keep_choices() {
    cache.save();
    const auto& warnings = cache.warnings();
    notes.insert(notes.end(), warnings.begin() + noted_warnings, warnings.end());
    noted_warnings = static_cast<std::ptrdiff_t>(warnings.size());
  }

  Compiled& compiled(Mode mode, const Shape& image_shape, std::int64_t batch);
  [[nodiscard]] data::LoaderOptions loader_options(bool training) const;
  void prepare(data::Loader& loader, Mode mode);
  std::optional<Metrics> evaluate(const data::Dataset& dataset, const std::atomic<bool>* stop);
  void note_kernels(std::int64_t batch);
  /// Runs the next steps of the epoch: one, or with resident data at most `most`. Their number.
  int run_steps(data::Loader* loader, std::int64_t batches, int most, double& learning_rate);
  FitReport fit(const data::Dataset& train, const data::Dataset* test,
                const FitCallbacks& callbacks);

  std::shared_ptr<const nn::Module> model;
  TrainerOptions options;
  KernelCache cache;
  std::ptrdiff_t noted_warnings = 0;
  std::vector<std::string> notes;
  VariableStore store;
  std::map<std::pair<Mode, std::int64_t>, Compiled> executables;
  std::optional<ResidentData> resident;  ///< while fit() trains from it
  std::optional<Shape> shape;            ///< of the images that the Executables are for
  TrainingRecipe recipe;
  bool uploaded = false;             ///< room for the training set is in the store
  std::int64_t steps_per_epoch = 0;  ///< 0 before the first fit()
  RunState run;
  RestoredVariables restored;
  std::vector<std::string> kernel_choices;
  std::vector<std::string> saved_kernels;  ///< of the checkpoint that was loaded
};

Compiled& Trainer::State::compiled(Mode mode, const Shape& image_shape, std::int64_t batch) {
  if (shape && *shape != image_shape) {
    throw user_error(ErrorCode::invalid_shape,
                     fmt::format("trainer: images must be {} as before, got {}", shape->to_string(),
                                 image_shape.to_string()));
  }
  const auto key = std::pair(mode, batch);
  if (const auto it = executables.find(key); it != executables.end()) return it->second;
  const auto build = [&] {
    switch (mode) {
      case Mode::train: return build_train_graph(*model, image_shape, batch, recipe);
      case Mode::resident_train:
        return build_resident_train_graph(*model, resident->source(batch), recipe);
      case Mode::eval: return build_eval_graph(*model, image_shape, batch, options.precision);
      case Mode::predict: break;
    }
    return build_predict_graph(*model, image_shape, batch, options.precision);
  };
  Compiled fresh(build(), store, batch);
  keep_choices();
  restored.apply(store, trains(mode));  // before it can run, should this throw
  shape = image_shape;
  return executables.emplace(key, std::move(fresh)).first->second;
}

void Trainer::State::note_kernels(std::int64_t batch) {
  const Mode mode = resident ? Mode::resident_train : Mode::train;
  kernel_choices = executables.at({mode, batch}).executable.stats().kernel_names;
  if (!saved_kernels.empty() && saved_kernels != kernel_choices) {
    notes.emplace_back(
        "other kernels run than in the checkpoint, so results may differ in the last bits");
  }
  saved_kernels.clear();
}

data::LoaderOptions Trainer::State::loader_options(bool training) const {
  data::LoaderOptions loader;
  loader.batch_size = options.batch_size;
  loader.shuffle = training;
  loader.seed = options.seed;
  loader.workers = options.loader_workers;
  loader.normalization = options.normalization;
  if (training && options.augment != AugmentOptions{}) {
    loader.augment = data::random_crop_flip(options.augment.shift, options.augment.flip);
  }
  return loader;
}

void Trainer::State::prepare(data::Loader& loader, Mode mode) {
  const Shape image = loader.dataset().image_shape();
  compiled(mode, image, loader.size_of_batch(0));
  compiled(mode, image, loader.size_of_batch(loader.batches_per_epoch() - 1));
}

/// Nothing when it was stopped.
std::optional<Metrics> Trainer::State::evaluate(const data::Dataset& dataset,
                                                const std::atomic<bool>* stop) {
  data::Loader loader(borrow(dataset), loader_options(false));
  EpochSums sums;
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    if (stop != nullptr && stop->load()) return std::nullopt;
    const data::Batch batch = loader.next();
    Compiled& eval = compiled(Mode::eval, dataset.image_shape(), batch.size());
    eval.step(batch);
    eval.drain(sums, nullptr);
  }
  return means(sums);
}

int Trainer::State::run_steps(data::Loader* loader, std::int64_t batches, int most,
                              double& learning_rate) {
  int steps = 1;
  if (resident) {
    const std::int64_t size = resident->size_of_batch(run.batch);
    while (steps < most && run.batch + steps < batches &&
           resident->size_of_batch(run.batch + steps) == size) {
      ++steps;
    }
    Compiled& step = compiled(Mode::resident_train, *shape, size);
    step.executable.run_steps(steps, {});
    step.drain(run.sums, &learning_rate);
  } else {
    const data::Batch batch = loader->next();
    Compiled& step = compiled(Mode::train, *shape, batch.size());
    step.step(batch);
    step.drain(run.sums, &learning_rate);
  }
  run.batch += steps;
  run.step += steps;
  return steps;
}

FitReport Trainer::State::fit(const data::Dataset& train, const data::Dataset* test,
                              const FitCallbacks& callbacks) {
  const Clock::time_point begin = Clock::now();
  check_options(options, train);
  std::optional<data::Loader> loader;
  resident.reset();
  if (options.resident && (uploaded || fits_on_device(train, *store.backend()->device()))) {
    resident.emplace(train, options);
  } else {
    loader.emplace(borrow(train), loader_options(true));
  }
  const std::int64_t batches =
      resident ? resident->batches_per_epoch() : loader->batches_per_epoch();
  if (steps_per_epoch != 0 && steps_per_epoch != batches) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("trainer: training data must have {} batches as before, got {}",
                                 steps_per_epoch, batches));
  }
  recipe = {options.optimizer,     schedule_in_steps(options, batches),
            options.clip_norm,     options.label_smoothing,
            options.decay_vectors, options.precision};
  if (resident) {
    compiled(Mode::resident_train, train.image_shape(), resident->size_of_batch(0));
    compiled(Mode::resident_train, train.image_shape(), resident->size_of_batch(batches - 1));
    resident->upload(store);
    uploaded = true;
    note_kernels(resident->size_of_batch(0));
  } else {
    prepare(*loader, Mode::train);
    note_kernels(loader->size_of_batch(0));
  }
  steps_per_epoch = batches;
  if (test != nullptr) {
    data::Loader test_loader(borrow(*test), loader_options(false));
    prepare(test_loader, Mode::eval);
  }
  // A run that was stopped while it evaluated stands at its epoch's end.
  if (loader) {
    loader->seek(run.batch < batches ? data::LoaderPosition{run.epoch, run.batch}
                                     : data::LoaderPosition{run.epoch + 1, 0});
  }

  FitReport report;
  double training_seconds = 0;
  double learning_rate =
      optim::learning_rate_at(recipe.schedule, std::max<std::int64_t>(run.step - 1, 0));
  Clock::time_point shown = Clock::now();
  CallLength call(callbacks.on_interval ? callbacks.interval_seconds : 1.0);
  while (run.epoch < options.epochs && !report.stopped) {
    const Clock::time_point epoch_begin = Clock::now();
    const std::int64_t first_batch = run.batch;
    if (resident && run.batch < batches) resident->begin_epoch(store, run.epoch, run.batch);
    while (run.batch < batches) {
      if (callbacks.stop != nullptr && callbacks.stop->load()) {
        report.stopped = true;
        break;
      }
      const Clock::time_point call_begin = Clock::now();
      const int steps =
          run_steps(loader ? &*loader : nullptr, batches, call.steps(), learning_rate);
      call.took(steps, seconds_since(call_begin));
      if (report.steps == 0) report.time_to_first_step_seconds = seconds_since(begin);
      report.steps += steps;
      if (callbacks.on_interval && seconds_since(shown) >= callbacks.interval_seconds) {
        shown = Clock::now();
        const double speed = rate(run.batch - first_batch, seconds_since(epoch_begin));
        const std::int64_t left = options.epochs * batches - run.step;
        callbacks.on_interval({run.epoch + 1, options.epochs, run.batch, batches, run.step,
                               means(run.sums), learning_rate, speed,
                               speed > 0 ? static_cast<double>(left) / speed : 0.0});
      }
    }
    const double seconds = seconds_since(epoch_begin);
    training_seconds += seconds;
    if (report.stopped) break;
    EpochReport epoch;
    epoch.epoch = run.epoch + 1;
    epoch.step = run.step;
    epoch.train = means(run.sums);
    if (test != nullptr) {
      const std::optional<Metrics> metrics = evaluate(*test, callbacks.stop);
      if (!metrics) {
        report.stopped = true;
        break;
      }
      epoch.test = *metrics;
    }
    epoch.learning_rate = learning_rate;
    epoch.steps_per_second = rate(batches - first_batch, seconds);
    epoch.seconds = seconds_since(epoch_begin);
    run.sums = {};
    run.batch = 0;
    ++run.epoch;
    report.epochs.push_back(epoch);
    if (callbacks.on_epoch) callbacks.on_epoch(epoch);
  }
  report.seconds = seconds_since(begin);
  report.steps_per_second = rate(report.steps, training_seconds);
  return report;
}

Trainer::Trainer(std::shared_ptr<const nn::Module> model, TrainerOptions options)
    : state_(std::make_unique<State>(std::move(model), std::move(options))) {}
Trainer::~Trainer() = default;

FitReport Trainer::fit(const data::Dataset& train, const FitCallbacks& callbacks) {
  return state_->fit(train, nullptr, callbacks);
}

FitReport Trainer::fit(const data::Dataset& train, const data::Dataset& test,
                       const FitCallbacks& callbacks) {
  return state_->fit(train, &test, callbacks);
}

Metrics Trainer::evaluate(const data::Dataset& dataset) {
  return *state_->evaluate(dataset, nullptr);
}

Predictions Trainer::predict(const HostTensor& images) {
  State& s = *state_;
  const Shape& all = images.type().shape;
  if (all.rank() != 4 || all[0] < 1) {
    throw user_error(ErrorCode::invalid_shape,
                     fmt::format("predict: images must be [N,C,H,W] with N at least 1, got {}",
                                 images.type().to_string()));
  }
  data::Dataset dataset;
  dataset.name = "images";
  dataset.images = images;
  dataset.labels = HostTensor({DType::i32, {all[0]}});
  dataset.class_count = 1;
  dataset.class_names = data::numbered_class_names(1);
  data::Loader loader(borrow(dataset), s.loader_options(false));
  Predictions result;
  std::vector<std::byte> logits;
  std::int64_t classes = 0;
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    const data::Batch batch = loader.next();
    Executable& exe = s.compiled(Mode::predict, dataset.image_shape(), batch.size()).executable;
    exe.run({{"input", batch.images.data, static_cast<std::size_t>(batch.images.type.bytes())}});
    const HostTensor values = exe.fetched("logits");
    classes = values.type().shape[1];
    logits.insert(logits.end(), values.bytes().begin(), values.bytes().end());
    const HostTensor chosen = exe.fetched("class");
    const auto labels = chosen.view().as<std::int32_t>();
    result.classes.insert(result.classes.end(), labels.begin(), labels.end());
  }
  result.logits = HostTensor({DType::f32, {all[0], classes}});
  std::memcpy(result.logits.bytes().data(), logits.data(), logits.size());
  return result;
}

void Trainer::save(const std::filesystem::path& folder, const io::Json& extra) {
  State& s = *state_;
  if (s.steps_per_epoch == 0) {
    throw user_error(ErrorCode::invalid_argument,
                     "trainer: fit must have run before a checkpoint, got none");
  }
  io::write_checkpoint(folder, make_checkpoint(s.store, s.run, s.options, s.kernel_choices, extra));
}

void Trainer::load(const std::filesystem::path& folder) {
  State& s = *state_;
  io::Checkpoint checkpoint = io::read_checkpoint(folder);
  s.run = run_state_from_json(checkpoint.state);
  s.saved_kernels = kernels_from_json(checkpoint.state);
  s.restored = RestoredVariables(folder.string(), std::move(checkpoint));
  s.restored.apply(s.store, s.steps_per_epoch != 0);
}

SavedRun read_saved_run(const std::filesystem::path& folder) {
  const io::Json state = io::read_checkpoint_state(folder);
  return {options_from_json(state.at("options")), state.at("extra")};
}

const TrainerOptions& Trainer::options() const noexcept { return state_->options; }
VariableStore& Trainer::variables() noexcept { return state_->store; }
std::int64_t Trainer::step() const noexcept { return state_->run.step; }
std::int64_t Trainer::epochs_done() const noexcept { return state_->run.epoch; }
const std::vector<std::string>& Trainer::kernel_choices() const noexcept {
  return state_->kernel_choices;
}
const std::vector<std::string>& Trainer::notes() const noexcept { return state_->notes; }

}  // namespace ingot::train
