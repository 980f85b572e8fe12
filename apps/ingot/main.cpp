// The `ingot` command: parses the arguments and runs a subcommand.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <functional>
#include <string>

#include "apps/ingot/commands.h"
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

void add_device(CLI::App& app, std::string& device) {
  app.add_option("--device", device, "device to run on")->capture_default_str();
}

void add_threads(CLI::App& app, int& threads) {
  app.add_option("--threads", threads, "threads (0: INGOT_THREADS, or all cores)")
      ->check(CLI::NonNegativeNumber);
}

void add_json(CLI::App& app, bool& json) {
  app.add_flag("--json", json, "print one JSON object a line on stdout");
}

void add_train(CLI::App& root, TrainOptions& o, Command& command) {
  CLI::App& app = *root.add_subcommand("train", "train a model");
  app.add_option("--model", o.model, model_help());
  app.add_option("--data", o.data, data_help());
  app.add_option("--epochs", o.epochs, "epochs, from the start of the run (10)");
  app.add_option("--batch", o.batch, "images in a batch (32)");
  app.add_option("--lr", o.learning_rate, "learning rate (sgd 0.02, adamw 0.001)");
  app.add_option("--optimizer", o.optimizer, "sgd (default) or adamw");
  app.add_option("--momentum", o.momentum, "sgd: momentum (0.9)");
  app.add_flag("--nesterov", o.nesterov, "sgd: Nesterov's momentum");
  app.add_option("--weight-decay", o.weight_decay, "weight decay (sgd 0, adamw 0.01)");
  app.add_option("--schedule", o.schedule,
                 "learning-rate schedule: constant (default), cosine, one-cycle, step");
  app.add_option("--schedule-epochs", o.schedule_epochs,
                 "length of the schedule in epochs (that of --epochs)");
  app.add_option("--warmup", o.warmup, "epochs of linear warm-up (0)");
  app.add_option("--clip-norm", o.clip_norm, "greatest norm of the gradients (0: any)");
  app.add_option("--label-smoothing", o.label_smoothing, "label smoothing (0)");
  app.add_option("--shift", o.shift, "augmentation: move images by up to this many pixels (0)");
  app.add_flag("--flip", o.flip, "augmentation: mirror half of the images");
  app.add_option("--seed", o.seed, "seed of all that is random (0)");
  add_device(app, o.device);
  add_threads(app, o.threads);
  app.add_option("--out", o.out, "run folder (runs/MODEL, or that of --resume)");
  app.add_option("--resume", o.resume, "continue the run in this folder");
  add_json(app, o.json);
  app.callback([&] { command = [&] { return run_train(o); }; });
}

void add_eval(CLI::App& root, EvalOptions& o, Command& command) {
  CLI::App& app = *root.add_subcommand("eval", "loss and accuracy of a run on its test set");
  app.add_option("run", o.run, "run folder")->required();
  app.add_option("--data", o.data, data_help() + " (that of the run)");
  app.add_option("--batch", o.batch, "images in a batch (that of the run)")
      ->check(CLI::PositiveNumber);
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
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add_device(app, o.device);
  add_threads(app, o.threads);
  add_json(app, o.json);
  app.callback([&] { command = [&] { return run_predict(o); }; });
}

void add_bench(CLI::App& root, BenchOptions& o, Command& command) {
  CLI::App& app = *root.add_subcommand("bench", "measure whole training steps");
  app.add_option("workload", o.workload, model_help())->required();
  app.add_option("--batch", o.batch, "images in a batch (the workload's own)")
      ->check(CLI::PositiveNumber);
  app.add_option("--steps", o.steps, "steps in each of the repeats (as many as 0.7 s take)")
      ->check(CLI::PositiveNumber);
  add_device(app, o.device);
  add_threads(app, o.threads);
  add_json(app, o.json);
  app.callback([&] { command = [&] { return run_bench(o); }; });
}

void add_plan(CLI::App& root, PlanOptions& o, Command& command) {
  CLI::App& app = *root.add_subcommand("plan", "parameters, FLOPs and memory before step 1");
  app.add_option("model", o.model, model_help())->required();
  app.add_option("--batch", o.batch, "images in a batch")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add_device(app, o.device);
  app.callback([&] { command = [&] { return run_plan(o); }; });
}

void add_bisect(CLI::App& root, BisectCommandOptions& o, Command& command) {
  CLI::App& app =
      *root.add_subcommand("bisect", "the first op of a saved graph that differs or fails");
  app.add_option("graph", o.graph, "file with the text of a graph")->required();
  app.add_option("--seed", o.seed, "seed of the feeds and variables")->capture_default_str();
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

int run(int argc, char** argv) {
  CLI::App app("Ingot trains neural networks with one call a step.");
  app.require_subcommand(1);
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
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  return command();
}

}  // namespace
}  // namespace ingot::cli

int main(int argc, char** argv) {
  try {
    return ingot::cli::run(argc, argv);
  } catch (const std::exception& error) {
    std::fflush(stdout);
    fmt::print(stderr, "error: {}\n", error.what());
    return ingot::cli::kFailed;
  }
}
