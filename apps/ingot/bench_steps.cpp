// `ingot bench MODEL --check steps`: is training right on a device? Steps from the same weights,
// then free-running ones, against another device.
#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/ingot/bench_inputs.h"
#include "apps/ingot/bench_workload.h"
#include "apps/ingot/usage.h"
#include "ingot/data/random_order.h"
#include "ingot/data/synthetic.h"
#include "ingot/io/json.h"
#include "ingot/passes/precision.h"
#include "ingot/train/side_by_side.h"

namespace ingot::cli {
namespace {

// Images of so many classes at most: a net is to learn within the steps that are compared.
constexpr std::int64_t kClasses = 10;
constexpr std::uint64_t kSeed = 17;

/// Batches of images whose classes can be learnt, in random order.
class Batches {
 public:
  Batches(const nn::ModelOptions& model, std::int64_t batch, std::int64_t count)
      : batch_(batch),
        count_(count),
        samples_(data::make_synthetic({.image_shape = {model.channels, model.height, model.width},
                                       .class_count = std::min(kClasses, model.classes),
                                       .train_count = batch * count,
                                       .test_count = 0,
                                       .seed = kSeed})
                     .train),
        order_(static_cast<std::size_t>(samples_.size())) {
    data::shuffled_order(kSeed, data::DataStream::shuffle, 0, order_);
  }

  /// Batch `number`, on the host; the first one again after the last. Its memory is that of the
  /// next one, too.
  std::vector<Feed> feeds(std::int64_t number) {
    const std::int64_t first = number % count_ * batch_;
    const Shape image = samples_.image_shape();
    const auto pixels = samples_.images.view().as<const std::uint8_t>();
    const auto labels = samples_.labels.view().as<const std::int32_t>();
    const auto size = static_cast<std::size_t>(image.numel());
    images_.clear();
    labels_.clear();
    for (std::int64_t i = first; i < first + batch_; ++i) {
      const auto sample = static_cast<std::size_t>(order_[static_cast<std::size_t>(i)]);
      for (const std::uint8_t pixel : pixels.subspan(sample * size, size)) {
        // Zero-mean, and about as wide as what nets are initialised for.
        images_.push_back((static_cast<float>(pixel) - 128.0F) / 48.0F);
      }
      labels_.push_back(labels[sample]);
    }
    return {{"input", images_.data(), images_.size() * sizeof(float)},
            {"target", labels_.data(), labels_.size() * sizeof(std::int32_t)}};
  }

 private:
  std::int64_t batch_;
  std::int64_t count_;
  data::Dataset samples_;
  std::vector<std::int64_t> order_;
  std::vector<float> images_;
  std::vector<std::int32_t> labels_;
};

io::Json to_json(const train::SideBySide& found) {
  return io::Json::object({{"steps", found.steps},
                           {"skipped_steps", found.skipped},
                           {"results_compared", found.results},
                           {"results_drowned", found.drowned},
                           {"more_draws", found.more_draws},
                           {"greatest_distance", found.distance},
                           {"greatest_part_of_bound", found.over_bound},
                           {"worst", found.worst},
                           {"worst_step", found.worst_step},
                           {"scaled", found.scaled},
                           {"scaled_part_of_bound", found.over_scale_bound},
                           {"worst_scaled", found.worst_scale},
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
  workload.recipe.schedule.base = options.learning_rate;
  const Graph graph = workload.graph(workload.model, workload.batch);
  train::SideBySideOptions many;
  if (options.steps > 0) {
    many.steps = static_cast<int>(options.steps);
    many.free_steps = 5 * many.steps;
  }
  const std::int64_t fresh = std::max(many.steps, many.free_steps);
  const std::int64_t count = options.batches > 0 ? options.batches : fresh;
  const auto side = [&](const std::string& device, const BackendOptions& backend_options) {
    const auto batches = std::make_shared<Batches>(workload.model, workload.batch, count);
    return train::Side{graph,
                       reading_arguments([&] { return make_backend(device, backend_options); }),
                       [batches](std::int64_t step) { return batches->feeds(step); }};
  };
  train::Side judge = side(options.against, {.threads = options.threads});
  // A device against itself: otherwise both would compute the same bits.
  if (options.against == options.device) judge.compile.disabled_passes = unfused_passes();
  const train::SideBySide found = train::train_side_by_side(
      side(options.device, cache.backend_options(options.threads)), judge, many);
  keep_choices(cache);
  const std::string precision(precision_name(workload.recipe.precision));
  if (options.json) {
    io::Json result = io::Json::object({{"workload", std::string(workload.info.name)},
                                        {"device", options.device},
                                        {"against", options.against},
                                        {"batch", workload.batch},
                                        {"side", workload.model.height},
                                        {"batches", count},
                                        {"learning_rate", options.learning_rate},
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
        "  over all of them no result is scaled by more than {:.2f} of what rounding does ({} by "
        "{:.1e})\n",
        found.over_scale_bound, found.worst_scale, found.scaled);
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
