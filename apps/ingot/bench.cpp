// `ingot bench WORKLOAD`: measures whole training steps on real (random, learnable) data, after
// checking what the step computes.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "apps/ingot/commands.h"
#include "apps/ingot/process_time.h"
#include "apps/ingot/usage.h"
#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/engine/compile.h"
#include "ingot/io/json.h"
#include "ingot/nn/models/models.h"
#include "ingot/train/training_graph.h"

namespace ingot::cli {
namespace {

constexpr int kBuffers = 8;
constexpr int kRepeats = 7;

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Random images and labels in buffers larger than needed, as a caller's pool would have them.
struct Inputs {
  std::vector<std::vector<float>> images;
  std::vector<std::vector<std::int32_t>> labels;

  Inputs(const nn::ModelOptions& model, std::int64_t batch) {
    const auto pixels =
        static_cast<std::size_t>(batch * model.channels * model.height * model.width);
    for (std::uint32_t b = 0; b < kBuffers; ++b) {
      std::vector<float>& x = images.emplace_back(pixels + 1024);
      for (std::size_t i = 0; i < pixels; ++i) {
        x[i] = 2.0f * philox_uniform(17, 2 * b, 0, i) - 1.0f;
      }
      std::vector<std::int32_t>& y = labels.emplace_back(static_cast<std::size_t>(batch) + 16);
      for (std::size_t i = 0; i < static_cast<std::size_t>(batch); ++i) {
        y[i] = static_cast<std::int32_t>(
            philox_below(17, 2 * b + 1, 0, i, static_cast<std::uint64_t>(model.classes)));
      }
    }
  }

  void step(Executable& exe, std::int64_t number) const {
    const auto b = static_cast<std::size_t>(number % kBuffers);
    exe.step({{"input", images[b].data(), images[b].size() * sizeof(float), {}},
              {"target", labels[b].data(), labels[b].size() * sizeof(std::int32_t), {}}});
  }
};

Shape image_shape(const nn::ModelOptions& m) { return {m.channels, m.height, m.width}; }

/// Greatest relative L2 distance over the loss and every gradient (after one step the momentum
/// buffer is the gradient).
double step_distance(Executable& a, VariableStore& a_store, Executable& b, VariableStore& b_store,
                     const Inputs& inputs) {
  inputs.step(a, 0);
  inputs.step(b, 0);
  const auto relative = [](const HostTensor& x, const HostTensor& y) {
    double difference = 0;
    double norm = 0;
    for (std::int64_t i = 0; i < x.type().numel(); ++i) {
      const double want = y.view().get(i);
      difference += (x.view().get(i) - want) * (x.view().get(i) - want);
      norm += want * want;
    }
    return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
  };
  double worst = relative(a.fetched("loss"), b.fetched("loss"));
  for (const Segment* segment : b_store.segments()) {
    if (segment->role != VariableRole::optimizer_state) continue;
    const HostTensor want = b_store.read(segment->name);
    double norm = 0;
    for (const double v : want.to_doubles()) norm += v * v;
    // A gradient that is zero in exact arithmetic (a bias before a batch norm) has no scale.
    if (norm < 1e-16) continue;
    worst = std::max(worst, relative(a_store.read(segment->name), want));
  }
  return worst;
}

struct Workload {
  const nn::ModelInfo& info;
  std::int64_t batch;
  train::TrainingRecipe recipe;

  [[nodiscard]] Graph graph(const nn::ModelOptions& options, std::int64_t n) const {
    return train::build_train_graph(*info.make(options), image_shape(options), n, recipe);
  }
};

/// The step at a small batch (and small images for the deep nets) against the reference backend.
double check_against_reference(const Workload& workload, const BackendOptions& backend_options,
                               const std::string& device) {
  nn::ModelOptions small = workload.info.defaults;
  const bool deep = workload.info.name.starts_with("resnet");
  if (deep) small.height = small.width = small.height > 32 ? 32 : 8;
  small.classes = std::min<std::int64_t>(small.classes, 10);
  const std::int64_t batch = deep ? 4 : 2;
  const Graph graph = workload.graph(small, batch);
  VariableStore store(make_backend(device, backend_options), 1);
  VariableStore judge_store(make_backend("reference"), 1);
  Executable exe = compile(graph, store);
  Executable judge = compile(graph, judge_store);
  return step_distance(exe, store, judge, judge_store, Inputs(small, batch));
}

/// The full-size step against the same step without fusion.
double check_against_unfused(const Graph& graph, const Workload& workload,
                             const BackendOptions& backend_options, const std::string& device) {
  VariableStore store(make_backend(device, backend_options), 1);
  VariableStore plain_store(make_backend(device, backend_options), 1);
  Executable exe = compile(graph, store);
  Executable plain = compile(graph, plain_store, {.disabled_passes = {"fuse"}});
  return step_distance(exe, store, plain, plain_store,
                       Inputs(workload.info.defaults, workload.batch));
}

void require_close(double distance, double limit, std::string_view what) {
  if (distance <= limit) return;
  throw Error(ErrorKind::internal, ErrorCode::internal,
              "bench: the step must agree with " + std::string(what) +
                  ", got a relative distance of " + std::to_string(distance));
}

}  // namespace

int run_bench(const BenchOptions& options) {
  const nn::ModelInfo& info = *reading_arguments([&] { return &nn::find_model(options.workload); });
  const std::int64_t default_batch = info.name == "resnet50" || info.name == "resnet18" ? 8 : 32;
  const Workload workload{info, options.batch > 0 ? options.batch : default_batch, {}};
  const BackendOptions backend_options{.threads = options.threads};

  const Graph graph = workload.graph(info.defaults, workload.batch);
  VariableStore store(
      reading_arguments([&] { return make_backend(options.device, backend_options); }), 1);
  Executable exe = compile(graph, store, {.ring_capacity = 1 << 20});
  const Inputs inputs(info.defaults, workload.batch);
  std::int64_t number = 0;
  inputs.step(exe, number++);
  const double first_step_ms = 1e3 * seconds_since_process_start();

  const double reference_distance =
      check_against_reference(workload, backend_options, options.device);
  require_close(reference_distance, 2e-3, "the reference");
  const double unfused_distance =
      check_against_unfused(graph, workload, backend_options, options.device);
  require_close(unfused_distance, 2e-3, "the unfused step");

  // Warm-up, and how many steps fill a repeat.
  const auto warm = Clock::now();
  std::int64_t warm_steps = 0;
  while (seconds_since(warm) < 0.5 || warm_steps < 2) {
    inputs.step(exe, number++);
    ++warm_steps;
  }
  const double rate = static_cast<double>(warm_steps) / seconds_since(warm);
  const auto steps = std::max<std::int64_t>(
      1, options.steps > 0 ? options.steps : static_cast<std::int64_t>(rate * 0.7));
  while (exe.losses().pop()) {
  }
  std::vector<double> rates;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const auto start = Clock::now();
    for (std::int64_t i = 0; i < steps; ++i) inputs.step(exe, number++);
    rates.push_back(static_cast<double>(steps) / seconds_since(start));
  }
  std::int64_t losses = 0;
  const auto loss_at = static_cast<std::size_t>(exe.losses().index_of("loss"));
  double last_loss = 0;
  while (const auto entry = exe.losses().pop()) {
    last_loss = entry->values[loss_at];
    if (!std::isfinite(last_loss)) {
      throw Error(ErrorKind::internal, ErrorCode::numerics, "bench: losses must be finite");
    }
    ++losses;
  }
  std::sort(rates.begin(), rates.end());
  const double median = rates[rates.size() / 2];
  const ProgramStats& stats = exe.stats();
  const std::int64_t peak = stats.arena_bytes + stats.constant_bytes + store.bytes();
  const double flops = stats.flops * median;

  if (options.json) {
    const io::Json result =
        io::Json::object({{"workload", std::string(info.name)},
                          {"device", options.device},
                          {"threads", store.backend()->threads()},
                          {"batch", workload.batch},
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
                          {"feeds", "host, 8 buffers in turn"},
                          {"tune", "off"},
                          {"distance_from_reference", reference_distance},
                          {"distance_from_unfused", unfused_distance},
                          {"losses_checked", losses},
                          {"last_loss", last_loss}});
    std::printf("%s\n", result.dump().c_str());
    return 0;
  }
  std::printf("%s, batch %lld, device %s, %d thread(s), feeds on the host\n",
              std::string(info.name).c_str(), static_cast<long long>(workload.batch),
              options.device.c_str(), store.backend()->threads());
  std::printf("  %.1f steps/s (%.1f to %.1f), %.1f samples/s, %.1f GFLOP/s\n", median,
              rates.front(), rates.back(), median * static_cast<double>(workload.batch),
              flops * 1e-9);
  std::printf("  first step %.0f ms after process start\n", first_step_ms);
  std::printf("  memory: %.2f MiB planned (variables, constants, arena), %d kernels, %d reorders\n",
              static_cast<double>(peak) / (1 << 20), stats.kernels, stats.reorders);
  std::printf("  checked: %.1e from the reference, %.1e from the unfused step, %lld losses\n",
              reference_distance, unfused_distance, static_cast<long long>(losses));
  return 0;
}

}  // namespace ingot::cli
