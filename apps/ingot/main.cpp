// The `ingot` command: parses the arguments and runs a subcommand.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "apps/ingot/commands.h"
#include "apps/ingot/output.h"
#include "apps/ingot/usage.h"
#include "ingot/data/data_spec.h"
#include "ingot/nn/models/models.h"

namespace ingot::cli {
namespace {

/// The subcommand that was chosen.
using Command = std::function<int()>;

std::string data_help() {
  std::string text = "data set:";
  for (const data::DataKind& kind : data::data_kinds()) {
    text += fmt::format("{} {}", &kind == data::data_kinds().data() ? "" : ",", kind.syntax);
  }
  return text;
}

std::string model_help() {
  std::string text = "model:";
  for (const nn::ModelInfo& model : nn::models()) {
    text += fmt::format("{} {}", &model == nn::models().data() ? "" : ",", model.name);
  }
  return text;
}

/// A check that says what is wanted and what was given, where CLI11 says less.
template <typename Number>
CLI::Validator number(const char* wanted, bool (*accepts)(Number) = [](Number) { return true; }) {
  return CLI::Validator(
      [=](std::string& text) {
        Number value = 0;
        const bool good = CLI::detail::lexical_cast(text, value) && accepts(value);
        return good ? std::string() : fmt::format("must be {}, got \"{}\"", wanted, text);
      },
      "");
}
const CLI::Validator kNumber = number<double>("a number");
const CLI::Validator kInteger = number<long long>("an integer");
const CLI::Validator kPositive =
    number<long long>("a positive integer", [](long long value) { return value > 0; });
/// Without a sign: a negative number would wrap round.
const CLI::Validator kSeed(
    [](std::string& text) {
      unsigned long long value = 0;
      const bool good =
          text.find('-') == std::string::npos && CLI::detail::lexical_cast(text, value);
      return good ? std::string()
                  : fmt::format("must be an integer from 0 to 2^64 - 1, got \"{}\"", text);
    },
    "");

void add_device(CLI::App& app, std::string& device) {
  app.add_option("--device", device, "device to run on")->capture_default_str();
}

void add_threads(CLI::App& app, int& threads) {
  app.add_option("--threads", threads, "threads, at most 1024 (0: INGOT_THREADS, or all cores)")
      ->check(kInteger);
}

void add_tune(CLI::App& app, std::string& tune) {
  app.add_option("--tune", tune, "choose kernels by timing: off, quick or full")
      ->capture_default_str();
}

constexpr const char* kPrecisionHelp =
    "what contractions compute in: f32, tf32, bf16, or f16 (fp16) with loss scaling";
void add_precision(CLI::App& app, std::string& precision) {
  app.add_option("--precision", precision, kPrecisionHelp)->capture_default_str();
}

void add_json(CLI::App& app, bool& json) {
  app.add_flag("--json", json, "print JSON objects on stdout, one a line");
}

void add_train(CLI::App& root, TrainOptions& o, Command& command) {
  CLI::App& app = *root.add_subcommand("train", "train a model");
  app.add_option("--model", o.model, model_help());
  app.add_option("--data", o.data, data_help());
  app.add_option("--epochs", o.epochs, "epochs, from the start of the run (6)")->check(kInteger);
  app.add_option("--batch", o.batch, "images in a batch (64)")->check(kInteger);
  app.add_option("--lr", o.learning_rate, "learning rate (sgd 0.01, adamw 0.001)")->check(kNumber);
  app.add_option("--optimizer", o.optimizer, "sgd (default) or adamw");
  app.add_option("--momentum", o.momentum, "sgd: momentum (0.9)")->check(kNumber);
  app.add_flag("--nesterov", o.nesterov, "sgd: Nesterov's momentum");
  app.add_option("--beta1", o.beta1, "adamw: decay of the gradient's mean (0.9)")->check(kNumber);
  app.add_option("--beta2", o.beta2, "adamw: decay of the squared gradient's mean (0.999)")
      ->check(kNumber);
  app.add_option("--eps", o.eps, "adamw: added to the denominator (1e-8)")->check(kNumber);
  app.add_option("--weight-decay", o.weight_decay, "weight decay (sgd 0, adamw 0.01)")
      ->check(kNumber);
  app.add_option("--schedule", o.schedule,
                 "learning-rate schedule: constant (default), cosine, one-cycle, step");
  app.add_option("--schedule-epochs", o.schedule_epochs,
                 "length of the schedule in epochs (that of --epochs)")
      ->check(kInteger);
  app.add_option("--warmup", o.warmup, "epochs of linear warm-up (0)")->check(kNumber);
  app.add_option("--step-epochs", o.step_epochs,
                 "schedule step: epochs from one drop to the next (30)")
      ->check(kInteger);
  app.add_option("--gamma", o.gamma, "schedule step: factor of a drop (0.1)")->check(kNumber);
  app.add_option("--clip-norm", o.clip_norm, "greatest norm of the gradients (0: any)")
      ->check(kNumber);
  app.add_option("--label-smoothing", o.label_smoothing, "label smoothing (0)")->check(kNumber);
  app.add_option("--precision", o.precision, std::string(kPrecisionHelp) + " (f32)");
  app.add_option("--shift", o.shift, "augmentation: move images by up to this many pixels (0)")
      ->check(kInteger);
  app.add_flag("--flip", o.flip, "augmentation: mirror half of the images");
  app.add_option("--seed", o.seed, "seed of all that is random (0)")->check(kSeed);
  add_device(app, o.device);
  add_threads(app, o.threads);
  add_tune(app, o.tune);
  app.add_option("--out", o.out, "run folder (runs/MODEL, or that of --resume)");
  app.add_option("--resume", o.resume, "continue the run in this folder");
  add_json(app, o.json);
  app.callback([&] { command = [&] { return run_train(o); }; });
}

void add_eval(CLI::App& root, EvalOptions& o, Command& command) {
  CLI::App& app = *root.add_subcommand("eval", "loss and accuracy of a run on its test set");
  app.add_option("run", o.run, "run folder")->required();
  app.add_option("--data", o.data, data_help() + " (that of the run)");
  app.add_option("--batch", o.batch, "images in a batch (that of the run)")->check(kPositive);
  app.add_option("--precision", o.precision, std::string(kPrecisionHelp) + " (that of the run)");
  add_device(app, o.device);
  add_threads(app, o.threads);
  add_json(app, o.json);
  app.callback([&] { command = [&] { return run_eval(o); }; });
}

void add_predict(CLI::App& root, PredictOptions& o, Command& command) {
  CLI::App& app = *root.add_subcommand("predict", "classes of images");
  app.add_option("run", o.run, "run folder")->required();
  app.add_option("images", o.images, "PNG files of the model's size (none: test images)");
  app.add_option("--data", o.data, data_help() + " (that of the run)");
  app.add_option("--count", o.count, "test images to show")
      ->check(kPositive)
      ->capture_default_str();
  add_device(app, o.device);
  add_threads(app, o.threads);
  add_json(app, o.json);
  app.callback([&] { command = [&] { return run_predict(o); }; });
}

/// Options that the measurement at hand would not look at.
void refuse_ignored(const CLI::App& app, const BenchOptions& o) {
  constexpr const char* kHelp = "\nhelp: see ingot bench --help";
  if (o.workload == "infer") {
    for (const char* name :
         {"--side", "--fixed", "--steps-per-call", "--check", "--against", "--profile"}) {
      if (app.count(name) == 0) continue;
      throw UsageError(
          fmt::format("{}: must be given for training alone, got it for infer{}", name, kHelp));
    }
  } else if (!o.model.empty()) {
    throw UsageError(
        fmt::format("model: must be given after infer alone, got \"{}\"{}", o.model, kHelp));
  }
  if (app.count("--against") > 0 && o.check != "steps") {
    throw UsageError(fmt::format("--against: must be given with --check steps, got --check {}{}",
                                 o.check, kHelp));
  }
}

void add_bench(CLI::App& root, BenchOptions& o, Command& command) {
  CLI::App& app = *root.add_subcommand("bench", "measure whole training steps, or inference");
  app.add_option("workload", o.workload, "`infer MODEL`, or the model to train; " + model_help())
      ->required();
  app.add_option("model", o.model, "after `infer`: the model");
  app.add_option("--batch", o.batch, "images in a batch (the workload's own)")->check(kPositive);
  app.add_option("--side", o.side, "training: height and width of the images (the workload's own)")
      ->check(kPositive);
  app.add_option("--steps", o.steps, "steps in each of the repeats (as many as 0.7 s take)")
      ->check(kPositive);
  app.add_option("--fixed", o.fixed,
                 "training: run just so many steps, untimed, and print kernels, reorders and bytes")
      ->check(kPositive);
  add_device(app, o.device);
  add_threads(app, o.threads);
  add_tune(app, o.tune);
  add_precision(app, o.precision);
  add_json(app, o.json);
  app.add_option("--steps-per-call", o.steps_per_call,
                 "training steps of one call, on stacked feeds")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option(
         "--check", o.check,
         "training: compare the first step with the reference and the unfused step (all), "
         "with the reference alone, or with none; or compare many steps and time nothing: 20 "
         "from the same weights, then 100 free-running (steps)")
      ->check(CLI::IsMember({"all", "reference", "none", "steps"}))
      ->capture_default_str();
  app.add_option("--against", o.against, "check of steps: the device that is right")
      ->capture_default_str();
  app.add_option("--lr", o.learning_rate, "check of steps: the learning rate")
      ->check(kNumber)
      ->capture_default_str();
  app.add_option("--batches", o.batches,
                 "check of steps: feed so many batches in turn (one a step)")
      ->check(kPositive);
  app.add_option(
      "--profile", o.profile,
      "training: write each kernel's time to this file, for chrome://tracing or Perfetto");
  app.callback([&] {
    refuse_ignored(app, o);
    command = [&] { return o.workload == "infer" ? run_bench_infer(o) : run_bench(o); };
  });
}

void add_plan(CLI::App& root, PlanOptions& o, Command& command) {
  CLI::App& app = *root.add_subcommand("plan", "parameters, FLOPs and memory before step 1");
  app.add_option("model", o.model, model_help())->required();
  app.add_option("--batch", o.batch, "images in a batch")->check(kPositive)->capture_default_str();
  app.add_option("--graph", o.graph,
                 "write the step's graph to this file, for bisect (.dot: for Graphviz)");
  add_precision(app, o.precision);
  add_device(app, o.device);
  app.callback([&] { command = [&] { return run_plan(o); }; });
}

void add_bisect(CLI::App& root, BisectCommandOptions& o, Command& command) {
  CLI::App& app =
      *root.add_subcommand("bisect", "the first op of a saved graph that differs or fails");
  app.add_option("graph", o.graph, "file with the text of a graph")->required();
  app.add_option("--seed", o.seed, "seed of the feeds and variables")
      ->check(kSeed)
      ->capture_default_str();
  add_device(app, o.device);
  app.callback([&] { command = [&] { return run_bisect(o); }; });
}

void add_tools(CLI::App& root, Command& command) {
  root.add_subcommand("ops", "which op runs where")->callback([&] {
    command = [] { return run_ops({}); };
  });
  root.add_subcommand("doctor", "what this machine has and what is missing")->callback([&] {
    command = [] { return run_doctor({}); };
  });
}

/// What is wrong with the arguments, with names that come close to an unknown one.
UsageError refusal(const CLI::App& root, const CLI::ParseError& error) {
  const auto chosen = root.get_subcommands();
  const CLI::App& app = chosen.empty() ? root : *chosen.front();
  const std::string name = chosen.empty() ? "ingot" : app.get_name();
  std::string text = error.what();
  text.resize(std::min(text.size(), text.find('\n')));
  std::string close;
  if (const auto unknown = root.remaining(true); !unknown.empty()) {
    std::vector<std::string> known;
    if (chosen.empty()) {
      for (const CLI::App* command : root.get_subcommands({})) known.push_back(command->get_name());
    }
    for (const CLI::Option* option : app.get_options()) known.push_back(option->get_name());
    text = fmt::format("{}: argument must be one that is known, got \"{}\"", name, unknown.front());
    close = closest_names(unknown.front(), known);
  }
  return UsageError(text + "\nhelp: " + (close.empty() ? "" : "did you mean " + close + "? ") +
                    "see ingot " + (chosen.empty() ? "" : name + " ") + "--help");
}

int run(int argc, char** argv) {
  CLI::App app("Ingot trains neural networks with one call a step.");
  app.name("ingot");
  app.set_version_flag("--version", "ingot " INGOT_VERSION);
  app.require_subcommand(0, 1);
  Command command;
  TrainOptions train;
  EvalOptions eval;
  PredictOptions predict;
  BenchOptions bench;
  PlanOptions plan;
  BisectCommandOptions bisect;
  add_train(app, train, command);
  add_eval(app, eval, command);
  add_predict(app, predict, command);
  add_bench(app, bench, command);
  add_plan(app, plan, command);
  add_bisect(app, bisect, command);
  add_tools(app, command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help and the like
    throw refusal(app, error);
  }
  if (!command) {
    throw UsageError("ingot: a command must be given, got none\nhelp: see ingot --help");
  }
  return command();
}

}  // namespace
}  // namespace ingot::cli

int main(int argc, char** argv) {
  using namespace ingot::cli;
  try {
    const int code = run(argc, argv);
    check_output();
    return code;
  } catch (const UsageError& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return kUsage;
  } catch (const std::exception& error) {
    std::fflush(stdout);
    fmt::print(stderr, "error: {}\n", error.what());
    return kFailed;
  }
}
