// `ingot bench WORKLOAD`: measures whole training steps on real (random, learnable) data, after
// checking what the step computes.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/ingot/bench_inputs.h"
#include "apps/ingot/bench_memory.h"
#include "apps/ingot/bench_workload.h"
#include "apps/ingot/commands.h"
#include "apps/ingot/process_time.h"
#include "apps/ingot/profile.h"
#include "apps/ingot/usage.h"
#include "ingot/base/error.h"
#include "ingot/engine/compile.h"
#include "ingot/io/json.h"
#include "ingot/nn/models/models.h"
#include "ingot/train/step_check.h"
#include "ingot/train/training_graph.h"

namespace ingot::cli {
namespace {

constexpr int kRepeats = 7;
// Losses wait here until the timing of a repeat is over.
constexpr std::int64_t kMaxSteps = 1 << 14;

/// The workload's first step on a backend of its own.
train::StepOutcome first_step(const Graph& graph, std::shared_ptr<Backend> backend,
                              const nn::ModelOptions& model, std::int64_t batch,
                              const CompileOptions& compile_options = {}, double nudge = 0) {
  VariableStore store(std::move(backend), 1);
  Executable exe = compile(graph, store, compile_options);
  train::spread_scales_and_shifts(store);
  if (nudge > 0) train::nudge_parameters(store, nudge);
  const Inputs inputs(model, batch, store.backend()->device());
  return train::take_first_step(exe, store, inputs.feeds(0));
}

/// A step that is to be right, and the one that it is compared with.
struct Comparison {
  const Graph& tested;
  const Graph& right;
  CompileOptions right_options;
  std::function<std::shared_ptr<Backend>()> tested_backend, right_backend, noise_backend;
  const nn::ModelOptions& model;
  std::int64_t batch;
  Precision precision;

  [[nodiscard]] train::StepDifference run() const {
    const auto right_step = [&](double nudge) {
      return first_step(right, right_backend(), model, batch, right_options, nudge);
    };
    const train::StepOutcome got = first_step(tested, tested_backend(), model, batch);
    const train::StepOutcome want = right_step(0);
    const train::StepOutcome nudged = right_step(train::nudge_of(precision));
    train::StepDifference difference = train::compare_steps(got, want, nudged, {}, precision);
    if (difference.over_rounding <= train::kRoundings) return difference;
    // Noise in every op takes many times as long, and meets what a nudge does not.
    VariableStore start(right_backend(), 1);
    (void)compile(right, start, right_options);
    train::spread_scales_and_shifts(start);
    const std::shared_ptr<Backend> backend = noise_backend();
    const Inputs inputs(model, batch, backend->device());
    const std::vector<train::StepOutcome> noisy =
        train::noisy_first_steps(tested, backend, start, inputs.feeds(0));
    return train::compare_steps(got, want, nudged, noisy, precision);
  }
};

/// The step at a small batch (and small images for the deep nets) against the reference backend.
train::StepDifference check_against_reference(const Workload& workload,
                                              const BackendOptions& backend_options,
                                              const std::string& device) {
  const auto [small, batch] = small_problem(workload.info);
  const Graph graph = workload.graph(small, batch);
  const Graph exact = workload.reference_graph(small, batch);
  return Comparison{graph,
                    exact,
                    {},
                    [&] { return make_backend(device, backend_options); },
                    [] { return make_backend("reference"); },
                    [] { return make_backend("cpu"); },
                    small,
                    batch,
                    workload.recipe.precision}
      .run();
}

/// The full-size step against the same step without fusion and batch slices.
train::StepDifference check_against_unfused(const Graph& graph, const Workload& workload,
                                            const BackendOptions& backend_options,
                                            const std::string& device) {
  const auto backend = [&] { return make_backend(device, backend_options); };
  return Comparison{graph,          graph,          {.disabled_passes = unfused_passes()},
                    backend,        backend,        backend,
                    workload.model, workload.batch, workload.recipe.precision}
      .run();
}

/// What the step was compared with; a comparison that was not asked for is null.
struct Checks {
  std::optional<train::StepDifference> reference;
  std::optional<train::StepDifference> unfused;

  void add_to(io::Json& result) const {
    const auto add = [&](const std::string& name, const auto& difference) {
      result.set("distance_from_" + name,
                 difference ? io::Json(difference->distance) : io::Json(nullptr));
      result.set(name + "_over_rounding",
                 difference ? io::Json(difference->over_rounding) : io::Json(nullptr));
    };
    add("reference", reference);
    add("unfused", unfused);
  }

  static std::string text(const std::optional<train::StepDifference>& difference,
                          const std::string& what) {
    if (!difference) return "not compared with " + what;
    return fmt::format("{:.1e} from {} ({:.2f} times rounding)", difference->distance, what,
                       difference->over_rounding);
  }
};

struct CheckedLosses {
  std::int64_t count = 0;
  double last = 0;
};

/// Empties the ring; every loss in it must be finite.
CheckedLosses check_losses(Executable& exe) {
  CheckedLosses losses;
  const auto loss_at = static_cast<std::size_t>(exe.losses().index_of("loss"));
  while (const auto entry = exe.losses().pop()) {
    losses.last = entry->values[loss_at];
    if (!std::isfinite(losses.last)) {
      throw Error(ErrorKind::internal, ErrorCode::numerics, "bench: losses must be finite");
    }
    ++losses.count;
  }
  return losses;
}

/// Steps for a tool that counts instructions: nothing is timed or compared.
int run_fixed(const BenchOptions& options, Executable& exe, const Inputs& inputs) {
  for (std::int64_t i = 1; i < options.fixed; ++i) inputs.step(exe, i);
  const CheckedLosses losses = check_losses(exe);
  const ProgramStats& stats = exe.stats();
  const io::Json result = io::Json::object({{"workload", options.workload},
                                            {"steps", losses.count},
                                            {"kernels", stats.kernels},
                                            {"reorders", stats.reorders},
                                            {"bytes_moved", stats.bytes_moved},
                                            {"arena_bytes", stats.arena_bytes},
                                            {"flops", stats.flops}});
  std::printf("%s\n", result.dump().c_str());
  return 0;
}

/// What the workload is going to take of its device.
std::vector<MemoryOwner> planned_memory(const VariableStore& store, const Executable& exe,
                                        const Inputs& inputs, int steps_per_call) {
  std::vector<MemoryOwner> owners = store.device_memory();
  std::ranges::move(exe.device_memory({inputs.on_device(), steps_per_call}),
                    std::back_inserter(owners));
  if (inputs.on_device()) owners.push_back({"batches to feed", inputs.device_bytes()});
  return owners;
}

/// Some steps that measure each kernel.
void profile_steps(const std::string& file, const Graph& graph, VariableStore& store,
                   const Inputs& inputs) {
  constexpr int kSteps = 12;
  Executable exe = compile(graph, store, {.profile = true});
  for (int step = 0; step < kSteps; ++step) inputs.step(exe, step);
  exe.wait();
  write_profile(file, exe.kernel_times());
}

}  // namespace

void keep_choices(train::KernelCache& cache) {
  cache.save();
  for (const std::string& warning : cache.warnings()) {
    std::fprintf(stderr, "note: %s\n", warning.c_str());
  }
}

void require_close(double distance, double limit, std::string_view what) {
  if (distance <= limit) return;
  throw Error(ErrorKind::internal, ErrorCode::internal,
              "bench: the result must agree with " + std::string(what) +
                  ", got a relative distance of " + std::to_string(distance));
}

SmallProblem small_problem(const nn::ModelInfo& info) {
  nn::ModelOptions small = info.defaults;
  if (info.check_side > 0) small.height = small.width = info.check_side;
  small.classes = std::min<std::int64_t>(small.classes, 10);
  return {small, 4};
}

int run_bench(const BenchOptions& options) {
  const Workload workload = reading_arguments([&] { return workload_of(options); });
  if (options.check == "steps") return run_bench_steps(options, workload);
  train::KernelCache cache = reading_arguments(
      [&] { return train::KernelCache(parse_tune(options.tune), options.device); });
  const BackendOptions backend_options = cache.backend_options(options.threads);

  const Graph graph = workload.graph(workload.model, workload.batch);
  VariableStore store(
      reading_arguments([&] { return make_backend(options.device, backend_options); }), 1);
  Device& device = *store.backend()->device();
  BenchMemory memory{.used_at_start = used_bytes(device)};
  Executable exe = compile(graph, store, {.ring_capacity = kMaxSteps});
  const int per_call = options.steps_per_call;
  Inputs inputs(workload.model, workload.batch, store.backend()->device(), per_call);
  memory.planned = planned_memory(store, exe, inputs, per_call);
  memory.batches = inputs.device_bytes();
  std::int64_t number = 0;
  inputs.step(exe, number++);
  exe.wait();
  const double first_step_ms = 1e3 * seconds_since_process_start();
  keep_choices(cache);
  if (options.fixed > 0) return run_fixed(options, exe, inputs);
  inputs.fill_all();

  Checks checks;
  if (options.check != "none") {
    checks.reference = check_against_reference(workload, backend_options, options.device);
    train::require_agreement(*checks.reference, "the reference", workload.recipe.precision);
  }
  if (options.check == "all") {
    checks.unfused = check_against_unfused(graph, workload, backend_options, options.device);
    train::require_agreement(*checks.unfused, "the unfused step", workload.recipe.precision);
  }

  // Warm-up, and how many steps fill a repeat.
  const Stopwatch warm;
  std::int64_t warm_steps = 0;
  while (warm.seconds() < 0.5 || warm_steps < 2) {
    // Enough for a device to be kept busy between two looks at the clock.
    const int burst = inputs.on_device() ? 16 : 1;
    for (int i = 0; i < burst; ++i) inputs.step(exe, number++);
    warm_steps += burst;
    exe.wait();
  }
  const double rate = static_cast<double>(warm_steps) / warm.seconds();
  const auto steps = std::clamp<std::int64_t>(
      options.steps > 0 ? options.steps : static_cast<std::int64_t>(rate * 0.7), 1,
      std::max<std::int64_t>(1, kMaxSteps / per_call));
  check_losses(exe);
  std::vector<double> rates;
  CheckedLosses losses;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const Stopwatch watch;
    for (std::int64_t i = 0; i < steps; ++i) inputs.step(exe, number++);
    exe.wait();
    rates.push_back(static_cast<double>(steps * per_call) / watch.seconds());
    const CheckedLosses more = check_losses(exe);
    losses = {losses.count + more.count, more.last};
  }
  std::sort(rates.begin(), rates.end());
  const double median = rates[rates.size() / 2];
  const ProgramStats& stats = exe.stats();
  const std::int64_t peak = stats.arena_bytes + stats.constant_bytes + store.bytes();
  const double flops = stats.flops * median;
  memory.measure(device);
  if (!options.profile.empty()) profile_steps(options.profile, graph, store, inputs);

  if (options.json) {
    io::Json result =
        io::Json::object({{"workload", std::string(workload.info.name)},
                          {"device", options.device},
                          {"threads", store.backend()->threads()},
                          {"batch", workload.batch},
                          {"precision", std::string(precision_name(workload.recipe.precision))},
                          {"steps_per_second", median},
                          {"steps_per_second_min", rates.front()},
                          {"steps_per_second_max", rates.back()},
                          {"samples_per_second", median * static_cast<double>(workload.batch)},
                          {"time_to_first_step_ms", first_step_ms},
                          {"peak_bytes", peak},
                          {"peak_resident_bytes", peak_resident_bytes()},
                          {"gflops_per_second", flops * 1e-9},
                          {"kernels", stats.kernels},
                          {"reorders", stats.reorders},
                          {"bytes_moved", stats.bytes_moved},
                          {"feeds", inputs.where() + ", 8 batches in turn"},
                          {"steps_per_call", per_call},
                          {"device_nodes", stats.device_nodes},
                          {"tune", options.tune},
                          {"modules_compiled", stats.modules.compiled},
                          {"modules_cached", stats.modules.cached},
                          {"choices_made", cache.made()},
                          {"losses_checked", losses.count},
                          {"last_loss", losses.last}});
    memory.add_to(result);
    checks.add_to(result);
    std::printf("%s\n", result.dump().c_str());
    require_as_planned(memory.planned, memory.allocated);
    return 0;
  }
  fmt::print(
      "{}, batch {}, {}, device {}, {} thread(s), tune {}, feeds on the {}, {} step(s) a call\n",
      workload.info.name, workload.batch, precision_name(workload.recipe.precision), options.device,
      store.backend()->threads(), options.tune, inputs.where(), per_call);
  std::printf("  %.1f steps/s (%.1f to %.1f), %.1f samples/s, %.1f GFLOP/s\n", median,
              rates.front(), rates.back(), median * static_cast<double>(workload.batch),
              flops * 1e-9);
  std::printf("  first step %.0f ms after process start\n", first_step_ms);
  fmt::print("  of kernels' code {} modules compiled now, {} cached; {} choices timed now\n",
             stats.modules.compiled, stats.modules.cached, cache.made());
  std::printf("  memory: %.2f MiB planned (variables, constants, arena), %d kernels, %d reorders\n",
              static_cast<double>(peak) / (1 << 20), stats.kernels, stats.reorders);
  std::printf("%s", memory.text().c_str());
  std::printf("  checked: %s, %s, %lld losses\n",
              Checks::text(checks.reference, "the reference").c_str(),
              Checks::text(checks.unfused, "the unfused step").c_str(),
              static_cast<long long>(losses.count));
  require_as_planned(memory.planned, memory.allocated);
  return 0;
}

}  // namespace ingot::cli
