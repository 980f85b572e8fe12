// `ingot train`: trains a model and keeps its checkpoints in a run folder.
#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "apps/ingot/commands.h"
#include "apps/ingot/output.h"
#include "apps/ingot/progress.h"
#include "apps/ingot/run_setup.h"
#include "apps/ingot/usage.h"
#include "ingot/base/error.h"
#include "ingot/io/file.h"

namespace ingot::cli {
namespace {

using Clock = std::chrono::steady_clock;
using io::Json;

constexpr double kSecondsBetweenCheckpoints = 10.0;

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free);

/// Ctrl-C asks the run to stop; a second one ends the process. A reader of stdout that goes away is
/// an error of writing, so that what is trained can be saved.
class SignalHandlers {
 public:
  SignalHandlers() {
    struct sigaction action{};
    action.sa_handler = [](int) { stop_requested.store(true); };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(SIGINT, &action, &interrupt_);
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &pipe_);
  }
  ~SignalHandlers() {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGPIPE, &pipe_, nullptr);
  }
  SignalHandlers(const SignalHandlers&) = delete;
  SignalHandlers& operator=(const SignalHandlers&) = delete;

 private:
  struct sigaction interrupt_{};
  struct sigaction pipe_{};
};

struct Run {
  train::TrainerOptions options;
  RunDescription description;
  data::DatasetPair data;
  std::string out;
};

template <typename T>
void set_if(const std::optional<T>& given, T& target) {
  if (given) target = *given;
}

void apply(const TrainOptions& given, train::TrainerOptions& o) {
  if (given.optimizer) {
    // The same one again keeps the resumed coefficients.
    const optim::Rule rule = train::parse_optimizer(*given.optimizer);
    if (rule.index() != o.optimizer.index()) o.optimizer = rule;
  }
  if (auto* sgd = std::get_if<optim::SGD>(&o.optimizer)) {
    set_if(given.momentum, sgd->momentum);
    if (given.nesterov) sgd->nesterov = true;
  } else if (given.momentum || given.nesterov) {
    throw user_error(ErrorCode::invalid_argument,
                     "optimizer \"adamw\": must be given without --momentum and --nesterov, got "
                     "one of them");
  }
  if (auto* adamw = std::get_if<optim::AdamW>(&o.optimizer)) {
    set_if(given.beta1, adamw->beta1);
    set_if(given.beta2, adamw->beta2);
    set_if(given.eps, adamw->eps);
  } else if (given.beta1 || given.beta2 || given.eps) {
    throw user_error(ErrorCode::invalid_argument,
                     "optimizer \"sgd\": must be given without --beta1, --beta2 and --eps, got one "
                     "of them");
  }
  std::visit([&](auto& rule) { set_if(given.weight_decay, rule.weight_decay); }, o.optimizer);
  set_if(given.learning_rate, o.learning_rate);
  set_if(given.epochs, o.epochs);
  set_if(given.batch, o.batch_size);
  if (given.schedule) o.schedule.kind = optim::parse_schedule(*given.schedule);
  set_if(given.schedule_epochs, o.schedule.epochs);
  set_if(given.warmup, o.schedule.warmup_epochs);
  set_if(given.step_epochs, o.schedule.step_epochs);
  set_if(given.gamma, o.schedule.gamma);
  set_if(given.clip_norm, o.clip_norm);
  set_if(given.label_smoothing, o.label_smoothing);
  if (given.precision) o.precision = parse_precision(*given.precision);
  set_if(given.shift, o.augment.shift);
  if (given.flip) o.augment.flip = true;
  set_if(given.seed, o.seed);
  o.device = given.device;
  o.threads = given.threads;
  o.tune = parse_tune(given.tune);
  check_options(o);
}

/// The first of runs/MODEL, runs/MODEL-2, ... that does not exist.
std::string fresh_folder(const std::string& model) {
  std::string folder = "runs/" + model;
  for (int k = 2; std::filesystem::exists(folder); ++k) {
    folder = fmt::format("runs/{}-{}", model, k);
  }
  return folder;
}

void require_given(const std::string& text, std::string_view option) {
  if (!text.empty()) return;
  throw user_error(ErrorCode::invalid_argument,
                   fmt::format("train: {} must be given without --resume, got none", option));
}

Run new_run(const TrainOptions& given) {
  require_given(given.model, "--model");
  require_given(given.data, "--data");
  Run run;
  run.options.epochs = 6;
  const bool adamw = given.optimizer && train::parse_optimizer(*given.optimizer).index() == 1;
  if (adamw) run.options.learning_rate = 0.001;
  apply(given, run.options);
  // Written out, so that resuming with more epochs does not change it.
  if (run.options.schedule.epochs == 0) run.options.schedule.epochs = run.options.epochs;
  const std::string model(nn::find_model(given.model).name);
  run.description = {model, parse_data(given.data), {}, run.options.seed};
  run.out = given.out.empty() ? fresh_folder(model) : given.out;
  return run;
}

void require_same(const std::string& folder, std::string_view what, const Json& saved,
                  const Json& now) {
  if (saved == now) return;
  throw user_error(ErrorCode::invalid_argument,
                   fmt::format("resume \"{}\": {} must stay {}, got {}", folder, what, saved.dump(),
                               now.dump()));
}

Run resumed_run(const TrainOptions& given) {
  const train::SavedRun saved = train::read_saved_run(given.resume);
  Run run{saved.options, description_from_json(saved.extra), {}, given.out};
  if (run.out.empty()) run.out = given.resume;
  if (!given.model.empty()) require_same(given.resume, "model", run.description.model, given.model);
  if (!given.data.empty()) {
    require_same(given.resume, "data", run.description.data.to_string(),
                 parse_data(given.data).to_string());
  }
  apply(given, run.options);
  const Json before = options_to_json(saved.options);
  const Json now = options_to_json(run.options);
  for (const io::JsonMember& member : before.as_object()) {
    if (member.key == "epochs") continue;
    require_same(given.resume, member.key, member.value, now.at(member.key));
  }
  return run;
}

void load_data(Run& run, bool resumed) {
  run.data = data::load_data(run.description.data, run.description.data_seed);
  train::check_options(run.options, run.data.train);
  if (resumed) return;
  run.description.model_options = model_options_for(run.data.train);
  run.options.normalization = data::measure_normalization(run.data.train);
}

void print_epoch(const train::EpochReport& e, std::int64_t epochs, bool json) {
  if (json) {
    print_line(Json::object({{"event", "epoch"},
                             {"epoch", e.epoch},
                             {"epochs", epochs},
                             {"step", e.step},
                             {"train_loss", e.train.loss},
                             {"train_accuracy", e.train.accuracy},
                             {"test_loss", e.test.loss},
                             {"test_accuracy", e.test.accuracy},
                             {"learning_rate", e.learning_rate},
                             {"steps_per_second", e.steps_per_second},
                             {"seconds", e.seconds}})
                   .dump());
  } else {
    print_line(fmt::format(
        "epoch {}/{}  train loss {:.4f} accuracy {:.2f} %  test loss {:.4f} accuracy {:.2f} %  "
        "lr {:.4g}  {:.1f} steps/s",
        e.epoch, epochs, e.train.loss, 100 * e.train.accuracy, e.test.loss, 100 * e.test.accuracy,
        e.learning_rate, e.steps_per_second));
  }
}

void print_end(const train::FitReport& report, const Run& run, const train::Trainer& trainer,
               bool json) {
  const train::Metrics test = report.epochs.empty() ? train::Metrics{} : report.epochs.back().test;
  if (json) {
    Json line = Json::object({{"event", report.stopped ? "interrupted" : "done"},
                              {"epochs", trainer.epochs_done()},
                              {"step", trainer.step()},
                              {"steps_per_second", report.steps_per_second},
                              {"seconds", report.seconds},
                              {"time_to_first_step_ms", 1e3 * report.time_to_first_step_seconds},
                              {"out", std::filesystem::absolute(run.out).string()}});
    if (!report.epochs.empty()) {
      line.set("test_accuracy", test.accuracy);
      line.set("test_loss", test.loss);
    }
    print_line(line.dump());
    return;
  }
  if (report.stopped) {
    print_line(fmt::format("interrupted after step {}; continue with: ingot train --resume {}",
                           trainer.step(), run.out));
  } else {
    print_line(fmt::format("test accuracy {:.2f} %  test loss {:.4f}  {:.1f} steps/s  {:.1f} s",
                           100 * test.accuracy, test.loss, report.steps_per_second,
                           report.seconds));
  }
  print_line(fmt::format("run folder {}", run.out));
}

/// A Trainer that stands where the run does.
std::unique_ptr<train::Trainer> make_trainer(const Run& run, const std::string& resume) {
  auto trainer = std::make_unique<train::Trainer>(make_shared_model(run.description), run.options);
  if (resume.empty()) return trainer;
  trainer->load(resume);
  if (trainer->epochs_done() >= run.options.epochs) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("resume \"{}\": epochs must be more than the {} that are done, "
                                 "got {}",
                                 resume, trainer->epochs_done(), run.options.epochs))
        .help("--epochs counts from the start of the run");
  }
  return trainer;
}

int train_and_save(const Run& run, train::Trainer& trainer, const TrainOptions& given) {
  fmt::print(stderr, "{}; {}; model {}; device {}\n", run.data.train.description(),
             run.data.test.description(), run.description.model, run.options.device);

  ProgressDisplay display;
  const Json description = to_json(run.description);
  std::optional<Error> lost_output;
  Clock::time_point saved = Clock::now();
  train::FitCallbacks callbacks;
  callbacks.stop = &stop_requested;
  callbacks.interval_seconds = display.interval_seconds();
  callbacks.on_interval = [&](const train::Progress& p) { display.show(p); };
  callbacks.on_epoch = [&](const train::EpochReport& epoch) {
    display.clear();
    try {
      print_epoch(epoch, run.options.epochs, given.json);
    } catch (const Error& error) {  // what is trained is saved all the same
      lost_output = error;
      stop_requested = true;
    }
    const std::chrono::duration<double> since = Clock::now() - saved;
    if (since.count() < kSecondsBetweenCheckpoints) return;
    trainer.save(run.out, description);
    saved = Clock::now();
  };
  const train::FitReport report = trainer.fit(run.data, callbacks);
  display.clear();
  trainer.save(run.out, description);
  for (const std::string& note : trainer.notes()) fmt::print(stderr, "note: {}\n", note);
  if (lost_output) {
    throw lost_output->note(fmt::format("saved after step {} in {}", trainer.step(), run.out));
  }
  print_end(report, run, trainer, given.json);
  return report.stopped ? kInterrupted : kDone;
}

}  // namespace

int run_train(const TrainOptions& given) {
  const SignalHandlers handlers;
  const bool resumed = !given.resume.empty();
  Run run = reading_arguments([&] { return resumed ? resumed_run(given) : new_run(given); });
  reading_arguments([&] { load_data(run, resumed); });
  const auto trainer = reading_arguments([&] { return make_trainer(run, given.resume); });
  io::make_writable_folder(run.out);
  return train_and_save(run, *trainer, given);
}

}  // namespace ingot::cli
