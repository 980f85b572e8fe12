// `ingot plan MODEL`: parameters, FLOPs and memory of a training step before anything runs.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "apps/ingot/commands.h"
#include "apps/ingot/usage.h"
#include "ingot/engine/compile.h"
#include "ingot/io/file.h"
#include "ingot/ir/graphviz.h"
#include "ingot/ir/printer.h"
#include "ingot/nn/models/models.h"
#include "ingot/train/training_graph.h"

namespace ingot::cli {
namespace {

double mib(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

/// Every byte that a run allocates there, by where its feeds lie.
void print_device_memory(const VariableStore& store, const Executable& exe) {
  for (const bool on_device : {true, false}) {
    std::vector<MemoryOwner> owners = store.device_memory();
    std::ranges::move(exe.device_memory({.on_device = on_device}), std::back_inserter(owners));
    std::printf("allocated with feeds on the %s, one step a call: %.2f MiB (%lld bytes)\n",
                on_device ? "device" : "host", mib(total_bytes(owners)),
                static_cast<long long>(total_bytes(owners)));
    for (const MemoryOwner& owner : owners) {
      std::printf("  %10.2f MiB  %s\n", mib(owner.bytes), owner.name.c_str());
    }
  }
}

}  // namespace

int run_plan(const PlanOptions& options) {
  const nn::ModelInfo& info = *reading_arguments([&] { return &nn::find_model(options.model); });
  const nn::ModelOptions& m = info.defaults;
  train::TrainingRecipe recipe;
  recipe.precision = reading_arguments([&] { return parse_precision(options.precision); });
  const Graph graph = train::build_train_graph(*info.make(m), {m.channels, m.height, m.width},
                                               options.batch, recipe);
  if (!options.graph.empty()) {
    const bool dot = std::filesystem::path(options.graph).extension() == ".dot";
    io::write_file_atomically(options.graph, dot ? to_dot(graph) : print_graph(graph));
  }
  VariableStore store(reading_arguments([&] { return make_backend(options.device); }));
  const Executable exe = compile(graph, store);
  const ProgramStats& stats = exe.stats();
  std::int64_t parameters = 0;
  for (const Segment* segment : store.segments()) {
    if (segment->role == VariableRole::parameter) parameters += segment->type.numel();
  }
  std::printf("%s, batch %lld, input f32%s, precision %s, device %s, SGD with momentum\n",
              std::string(info.name).c_str(), static_cast<long long>(options.batch),
              Shape{options.batch, m.channels, m.height, m.width}.to_string().c_str(),
              std::string(precision_name(recipe.precision)).c_str(), options.device.c_str());
  std::printf("parameters       %lld\n", static_cast<long long>(parameters));
  std::printf("GFLOP a step     %.3f\n", stats.flops * 1e-9);
  std::printf("kernels          %d (%d reorders, %d stand-alone elementwise)\n", stats.kernels,
              stats.reorders, stats.elementwise_kernels);
  std::printf("variables        %.2f MiB\n", mib(store.bytes()));
  std::printf("constants        %.2f MiB\n", mib(stats.constant_bytes));
  std::printf(
      "scratch arena    %.2f MiB (%.3f of the most that is live at once)\n", mib(stats.arena_bytes),
      stats.live_peak_bytes > 0
          ? static_cast<double>(stats.arena_bytes) / static_cast<double>(stats.live_peak_bytes)
          : 1.0);
  std::printf("peak             %.2f MiB\n",
              mib(store.bytes() + stats.constant_bytes + stats.arena_bytes));
  if (!store.backend()->device()->host_visible()) print_device_memory(store, exe);
  std::printf("largest owners when the arena is fullest:\n");
  for (const MemoryOwner& owner : stats.largest) {
    std::printf("  %10.2f MiB  %s\n", mib(owner.bytes), owner.name.c_str());
  }
  return 0;
}

}  // namespace ingot::cli
