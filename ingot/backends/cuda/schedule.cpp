#include "ingot/backends/cuda/schedule.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "ingot/backends/cuda/batch_axes.h"
#include "ingot/backends/cuda/cuda_kernel.h"
#include "ingot/backends/cuda/phaser.h"
#include "ingot/backends/cuda/step_stages.h"
#include "ingot/backends/cuda/update_sinks.h"
#include "ingot/base/error.h"

namespace ingot::cuda {
namespace {

// What one multiprocessor does in a cycle with generated code: multiply-adds, bytes from L2.
constexpr double kFlopsPerCycle = 2 * 128 * 0.35;
constexpr double kBytesPerCycle = 32;

const CudaKernel& kernel_of(const Launch& launch) {
  const auto* kernel = dynamic_cast<const CudaKernel*>(launch.kernel.get());
  if (kernel == nullptr) {
    throw unsupported_error("device \"cuda\": kernels must be of this backend, got " +
                            std::string(launch.kernel->name()));
  }
  return *kernel;
}

/// A launch's later stages do not touch all that the launch does.
void drop_unused(Stage& stage) {
  if (stage.library != nullptr) return;
  std::erase_if(stage.accesses, [&](const Access& access) {
    if (access.slot < 0) return stage.body.find("@W@") == std::string::npos;
    return stage.body.find(fmt::format("@{}@", access.slot)) == std::string::npos &&
           stage.body.find(fmt::format("@={}|", access.slot)) == std::string::npos;
  });
}

/// Collects the stages of a Program in order.
class Sequencer {
 public:
  Sequencer(const Program& program, const GpuFacts& gpu) : program_(program), gpu_(gpu) {}

  template <typename Cut>
  std::vector<PlacedStage> run(Cut&& cut) {
    for (std::size_t i = 0; i < program_.main.size(); ++i) {
      add(program_.main[i], cut(program_.main[i], static_cast<int>(i)), false);
    }
    for (const SlotCopy& copy : program_.snapshots) add_copy(copy, false);
    for (const Launch& launch : program_.commit) add(launch, cut(launch, -1), true);
    for (const SlotCopy& copy : program_.copies) add_copy(copy, true);
    PlacedStage end;
    end.stage = finish_stage(program_);
    end.last = true;
    placed_.push_back(std::move(end));
    return std::move(placed_);
  }

  [[nodiscard]] StageRequest grid_request(const Launch& launch) const {
    return {.launch = launch, .multiprocessors = gpu_.multiprocessors};
  }

 private:
  void add(const Launch& launch, std::vector<Stage> stages, bool commit) {
    for (Stage& stage : stages) {
      stage.commit = commit;
      drop_unused(stage);
      PlacedStage placed;
      placed.stage = std::move(stage);
      placed.node = launch.node->id();
      placed.scratch_offset = launch.scratch_offset;
      placed.scratch_bytes = launch.kernel->scratch_bytes();
      placed_.push_back(std::move(placed));
    }
  }
  void add_copy(const SlotCopy& copy, bool commit) {
    if (program_.slots[static_cast<std::size_t>(copy.to)].bytes() == 0) return;
    PlacedStage placed;
    placed.stage = copy_stage(program_, copy, commit);
    placed_.push_back(std::move(placed));
  }

  const Program& program_;
  const GpuFacts& gpu_;
  std::vector<PlacedStage> placed_;
};

/// Until the results are there, for who waits for them with all blocks.
double grid_cycles(const Program& program, const std::vector<Stage>& stages, int blocks) {
  const LatencyFacts facts;
  double cycles = 0;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    cycles += stage_cycles(program, stages[i], 1, blocks);
    // A second stage adds up what several blocks made.
    if (i > 0) cycles += facts.barrier;
  }
  return cycles;
}

/// What an item's block spends: sums over the batch are added up later, aside.
double item_cycles(const Program& program, const std::vector<Stage>& stages, std::int64_t items,
                   int blocks) {
  double cycles = 0;
  for (const Stage& stage : stages) {
    if (stage.mode == Mode::item) cycles += stage_cycles(program, stage, items, blocks);
  }
  return cycles;
}

}  // namespace

double stage_cycles(const Program& program, const Stage& stage, std::int64_t items, int blocks) {
  const LatencyFacts facts;
  double bytes = 0;
  double shared_bytes = 0;
  for (const Access& access : stage.accesses) {
    if (access.slot < 0) continue;
    const auto size =
        static_cast<double>(program.slots[static_cast<std::size_t>(access.slot)].bytes());
    (access.by_item ? bytes : shared_bytes) += size;
  }
  const auto ceil_div = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  if (stage.mode == Mode::item) {
    const auto rounds = static_cast<double>(ceil_div(items, blocks));
    if (stage.unit_cycles > 0) {
      return rounds * static_cast<double>(stage.units_per_item) * stage.unit_cycles;
    }
    const double share = 1.0 / static_cast<double>(items);
    const double flops = stage.flops * share;
    // Every item reads what it does not have to itself in full.
    return facts.stage + rounds * std::max(flops / kFlopsPerCycle,
                                           (bytes * share + shared_bytes) / kBytesPerCycle);
  }
  const std::int64_t used =
      stage.mode == Mode::single ? 1 : std::min<std::int64_t>(blocks, stage.units);
  const auto rounds = static_cast<double>(ceil_div(stage.units, std::max<std::int64_t>(used, 1)));
  if (stage.unit_cycles > 0) return rounds * stage.unit_cycles;
  const double share = rounds / static_cast<double>(stage.units);
  return facts.stage +
         share * std::max(stage.flops / kFlopsPerCycle, (bytes + shared_bytes) / kBytesPerCycle);
}

std::vector<PlacedStage> sequence(const Program& program, const GpuFacts& gpu, bool library) {
  Sequencer sequencer(program, gpu);
  return sequencer.run([&](const Launch& launch, int) {
    StageRequest request = sequencer.grid_request(launch);
    request.library = library;
    return kernel_of(launch).stages(request);
  });
}

Schedule schedule(const Program& program, const GpuFacts& gpu) {
  const LatencyFacts facts;
  const BatchAxes batch = find_batch(program);
  Sequencer sequencer(program, gpu);
  const auto cut = [&](const Launch& launch, int main_index) {
    const CudaKernel& kernel = kernel_of(launch);
    std::vector<Stage> grid = kernel.stages(sequencer.grid_request(launch));
    for (Stage& stage : grid) {
      if (stage.units == 1) stage.mode = Mode::single;
    }
    if (main_index < 0 || batch.items < 2) return grid;
    const BatchUse& use = batch.main[static_cast<std::size_t>(main_index)];
    if (use.kind == BatchUse::Kind::none || !kernel.separable(batch.items)) return grid;
    StageRequest request = sequencer.grid_request(launch);
    request.mode = Mode::item;
    request.items = batch.items;
    request.item_inputs = use.item_inputs;
    request.reduced = use.kind == BatchUse::Kind::reduced;
    std::vector<Stage> items = kernel.stages(request);
    for (Stage& stage : items) {
      if (stage.mode == Mode::grid && stage.units == 1) stage.mode = Mode::single;
    }
    const double by_item = item_cycles(program, items, batch.items, gpu.multiprocessors);
    const double by_grid = grid_cycles(program, grid, gpu.multiprocessors);
    // Staying with the item saves the barrier that all blocks would need.
    return by_item <= by_grid + facts.barrier ? items : grid;
  };
  Schedule result;
  result.items = batch.items;
  std::vector<PlacedStage> stages = sequencer.run(cut);
  result.updates =
      sink_updates(program, stages, [&](const Launch& launch, const std::vector<int>& updated) {
        StageRequest request = sequencer.grid_request(launch);
        request.updated = updated;
        std::vector<Stage> rest = kernel_of(launch).stages(request);
        for (Stage& stage : rest) {
          stage.commit = true;
          if (stage.units == 1) stage.mode = Mode::single;
          drop_unused(stage);
        }
        return rest;
      });
  result.phases = phases_of(program, std::move(stages));
  for (const Phase& phase : result.phases) {
    result.cycles += facts.barrier;
    double widest = 0;
    double chain = 0;
    for (const PlacedStage& placed : phase.items) {
      chain += stage_cycles(program, placed.stage, batch.items, gpu.multiprocessors);
    }
    for (const auto* list : {&phase.every, &phase.grid, &phase.single}) {
      for (const PlacedStage& placed : *list) {
        widest += stage_cycles(program, placed.stage, batch.items, gpu.multiprocessors);
      }
    }
    result.cycles += std::max(chain, widest);
  }
  return result;
}

}  // namespace ingot::cuda
