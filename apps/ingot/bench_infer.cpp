// `ingot bench infer MODEL`: latency and throughput of a frozen model, after checking its logits.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "apps/ingot/bench_inputs.h"
#include "apps/ingot/commands.h"
#include "apps/ingot/process_time.h"
#include "apps/ingot/usage.h"
#include "ingot/base/error.h"
#include "ingot/engine/compile.h"
#include "ingot/engine/freeze.h"
#include "ingot/io/json.h"
#include "ingot/nn/models/models.h"
#include "ingot/train/step_check.h"
#include "ingot/train/training_graph.h"

namespace ingot::cli {
namespace {

constexpr int kRepeats = 7;
constexpr double kRepeatSeconds = 0.6;
constexpr std::int64_t kMinCalls = 3;  // of a repeat

Graph predict_graph(const nn::ModelInfo& info, const nn::ModelOptions& options, std::int64_t batch,
                    Precision precision) {
  return train::build_predict_graph(
      *info.make(options), {options.channels, options.height, options.width}, batch, precision);
}

/// Statistics and offsets as no initialiser leaves them, so that folding them wrongly shows.
void randomise_vectors(VariableStore& store) {
  std::uint32_t stream = 0;
  for (const Segment* segment : store.segments()) {
    ++stream;
    if (segment->type.dtype != DType::f32 || segment->type.shape.rank() != 1) continue;
    HostTensor value(segment->type);
    for (std::int64_t i = 0; i < value.type().numel(); ++i) {
      value.view().set(i, 0.5 + philox_uniform(23, stream, 0, static_cast<std::uint64_t>(i)));
    }
    store.write(segment->name, value);
  }
}

/// How far logits may be from others: a few roundings of a deep net's operands.
double logits_limit(Precision precision) {
  switch (precision) {
    case Precision::f32: return 2e-3;
    case Precision::tf32:
    case Precision::f16: return 8 * 0x1p-11;
    case Precision::bf16: return 8 * 0x1p-8;
  }
  return 0;
}

/// The frozen logits at a small size against the reference's in f32 with everything apart.
double distance_from_reference(const nn::ModelInfo& info, const BackendOptions& backend_options,
                               const std::string& device, Precision precision) {
  const auto [small, batch] = small_problem(info);
  const Graph exact = predict_graph(info, small, batch, Precision::f32);
  const Graph graph = predict_graph(info, small, batch, precision);
  VariableStore judge_store(make_backend("reference"), 1);
  Executable judge = compile(exact, judge_store);
  randomise_vectors(judge_store);
  VariableStore store(make_backend(device, backend_options), 1);
  Executable exe = compile(*freeze(graph, judge_store), store);
  const Inputs inputs(small, batch);
  inputs.infer(exe, 0);
  inputs.infer(judge, 0);
  return train::relative_distance(exe.fetched("logits"), judge.fetched("logits"));
}

double percentile(const std::vector<double>& sorted, double share) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(std::lround(share * last))];
}

}  // namespace

int run_bench_infer(const BenchOptions& options) {
  const nn::ModelInfo& info = *reading_arguments([&] { return &nn::find_model(options.model); });
  const std::int64_t batch = options.batch > 0 ? options.batch : 1;
  train::KernelCache cache = reading_arguments(
      [&] { return train::KernelCache(parse_tune(options.tune), options.device); });
  const BackendOptions backend_options = cache.backend_options(options.threads);
  VariableStore store(
      reading_arguments([&] { return make_backend(options.device, backend_options); }), 1);
  const Precision precision = reading_arguments([&] { return parse_precision(options.precision); });
  const double reference_distance =
      distance_from_reference(info, backend_options, options.device, precision);
  require_close(reference_distance, logits_limit(precision), "the reference");

  const Graph graph = predict_graph(info, info.defaults, batch, precision);
  Executable plain = compile(graph, store, {.disabled_passes = {"fuse"}});
  randomise_vectors(store);
  Executable exe = compile(*freeze(graph, store), store);
  Inputs inputs(info.defaults, batch);
  keep_choices(cache);
  inputs.fill_all();
  // The two share the store's scratch arena, and with it the memory of their results.
  inputs.infer(plain, 0);
  const HostTensor want = plain.fetched("logits");
  inputs.infer(exe, 0);
  const double plain_distance = train::relative_distance(exe.fetched("logits"), want);
  require_close(plain_distance, logits_limit(precision),
                "the model that is neither frozen nor fused");

  std::int64_t number = 0;
  const Stopwatch warm;
  while (warm.seconds() < 0.5 || number < kBuffers) inputs.infer(exe, number++);
  const double rate = static_cast<double>(number) / warm.seconds();
  const std::int64_t calls =
      options.steps > 0 ? options.steps
                        : std::max(kMinCalls, static_cast<std::int64_t>(rate * kRepeatSeconds));
  std::vector<double> latencies;
  latencies.reserve(static_cast<std::size_t>(calls * kRepeats));
  std::vector<double> rates;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const Stopwatch watch;
    for (std::int64_t i = 0; i < calls; ++i) {
      const Stopwatch one;
      inputs.infer(exe, number++);
      latencies.push_back(1e3 * one.seconds());
    }
    rates.push_back(static_cast<double>(calls * batch) / watch.seconds());
  }
  std::sort(rates.begin(), rates.end());
  std::sort(latencies.begin(), latencies.end());
  const double throughput = rates[rates.size() / 2];
  const ProgramStats& stats = exe.stats();
  const double gflops = stats.flops * 1e-9 * throughput / static_cast<double>(batch);
  const double p50 = percentile(latencies, 0.50);
  const double p90 = percentile(latencies, 0.90);
  const double p99 = percentile(latencies, 0.99);
  if (options.json) {
    const io::Json result =
        io::Json::object({{"workload", "infer:" + std::string(info.name)},
                          {"device", options.device},
                          {"threads", store.backend()->threads()},
                          {"tune", options.tune},
                          {"precision", std::string(precision_name(precision))},
                          {"batch", batch},
                          {"latency_p50_ms", p50},
                          {"latency_p90_ms", p90},
                          {"latency_p99_ms", p99},
                          {"samples_per_second", throughput},
                          {"steps_per_second", throughput / static_cast<double>(batch)},
                          {"gflops_per_second", gflops},
                          {"peak_bytes", stats.arena_bytes + stats.constant_bytes},
                          {"peak_resident_bytes", peak_resident_bytes()},
                          {"kernels", stats.kernels},
                          {"reorders", stats.reorders},
                          {"feeds", "host, 8 buffers in turn"},
                          {"distance_from_reference", reference_distance},
                          {"distance_from_unfused", plain_distance},
                          {"calls", static_cast<std::int64_t>(latencies.size())}});
    std::printf("%s\n", result.dump().c_str());
    return 0;
  }
  fmt::print("infer {}, batch {}, {}, device {}, {} thread(s), tune {}, feeds on the host\n",
             info.name, batch, precision_name(precision), options.device,
             store.backend()->threads(), options.tune);
  std::printf("  latency p50 %.3f ms, p90 %.3f ms, p99 %.3f ms over %zu calls\n", p50, p90, p99,
              latencies.size());
  std::printf("  %.1f samples/s, %.1f GFLOP/s\n", throughput, gflops);
  std::printf("  memory: %.2f MiB planned (constants, arena), %d kernels, %d reorders\n",
              static_cast<double>(stats.arena_bytes + stats.constant_bytes) / (1 << 20),
              stats.kernels, stats.reorders);
  std::printf("  checked: %.1e from the reference, %.1e from the model as it is trained\n",
              reference_distance, plain_distance);
  return 0;
}

}  // namespace ingot::cli
