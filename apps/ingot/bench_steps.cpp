// `ingot bench MODEL --check steps`: is training right on a device? Steps from the same weights,
// then free-running ones, against another device.
#include <fmt/core.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "apps/ingot/bench_inputs.h"
#include "apps/ingot/bench_workload.h"
#include "apps/ingot/usage.h"
#include "ingot/io/json.h"
#include "ingot/passes/precision.h"
#include "ingot/train/side_by_side.h"

namespace ingot::cli {
namespace {

// At which deep nets learn, also from where scales and shifts are spread.
constexpr double kLearningRate = 0.002;

/// A device with feeds of its own.
train::Side side_on(const Graph& graph, const Workload& workload,
                    std::shared_ptr<Backend> backend) {
  auto inputs = std::make_shared<Inputs>(workload.model, workload.batch, backend->device());
  inputs->fill_all();
  return {graph, std::move(backend), [inputs](std::int64_t step) { return inputs->feeds(step); }};
}

io::Json to_json(const train::SideBySide& found) {
  return io::Json::object({{"steps", found.steps},
                           {"skipped_steps", found.skipped},
                           {"results_compared", found.results},
                           {"results_drowned", found.drowned},
                           {"greatest_distance", found.distance},
                           {"greatest_part_of_bound", found.over_bound},
                           {"worst", found.worst},
                           {"worst_step", found.worst_step},
                           {"free_steps", found.free_steps},
                           {"first_loss", found.first_loss},
                           {"last_loss", found.last_loss},
                           {"free_mean_difference", found.free_mean},
                           {"free_single_difference", found.free_single}});
}

}  // namespace

Workload workload_of(const BenchOptions& options) {
  const nn::ModelInfo& info = nn::find_model(options.workload);
  Workload workload{info, info.defaults, options.batch > 0 ? options.batch : info.batch, {}};
  if (options.side > 0) workload.model.height = workload.model.width = options.side;
  workload.recipe.precision = parse_precision(options.precision);
  return workload;
}

int run_bench_steps(const BenchOptions& options, Workload workload) {
  train::KernelCache cache = reading_arguments(
      [&] { return train::KernelCache(parse_tune(options.tune), options.device); });
  workload.recipe.schedule.base = kLearningRate;
  const Graph graph = workload.graph(workload.model, workload.batch);
  const auto side = [&](const std::string& device, const BackendOptions& backend_options) {
    return side_on(graph, workload,
                   reading_arguments([&] { return make_backend(device, backend_options); }));
  };
  train::SideBySideOptions many;
  if (options.steps > 0) {
    many.steps = static_cast<int>(options.steps);
    many.free_steps = 5 * many.steps;
  }
  const train::SideBySide found =
      train::train_side_by_side(side(options.device, cache.backend_options(options.threads)),
                                side(options.against, {.threads = options.threads}), many);
  keep_choices(cache);
  const std::string precision(precision_name(workload.recipe.precision));
  if (options.json) {
    io::Json result = io::Json::object({{"workload", std::string(workload.info.name)},
                                        {"device", options.device},
                                        {"against", options.against},
                                        {"batch", workload.batch},
                                        {"side", workload.model.height},
                                        {"precision", precision},
                                        {"found", to_json(found)}});
    fmt::print("{}\n", result.dump());
  } else {
    fmt::print("{}, batch {}, {}x{} pixels, {}, device {} against {}\n", workload.info.name,
               workload.batch, workload.model.height, workload.model.width, precision,
               options.device, options.against);
    fmt::print(
        "  {} steps from the same weights ({} more skipped by both): loss and gradients at most "
        "{:.1e} away, {:.2f} of the bound ({}, step {}); {} compared, {} drowned by rounding\n",
        found.steps, found.skipped, found.distance, found.over_bound, found.worst, found.worst_step,
        found.results, found.drowned);
    fmt::print(
        "  {} free-running steps, loss {:.3g} to {:.3g}: mean losses within {:.2g} %, single ones "
        "within {:.2g} %\n",
        found.free_steps, found.first_loss, found.last_loss, 100 * found.free_mean,
        100 * found.free_single);
  }
  train::require_side_by_side(found, options.against, workload.recipe.precision);
  return kDone;
}

}  // namespace ingot::cli
