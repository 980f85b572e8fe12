#include "ingot/backends/cuda/step/schedule.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "ingot/backends/cuda/kernels/cuda_kernel.h"
#include "ingot/backends/cuda/step/batch_axes.h"
#include "ingot/backends/cuda/step/grid_shares.h"
#include "ingot/backends/cuda/step/phaser.h"
#include "ingot/backends/cuda/step/step_stages.h"
#include "ingot/backends/cuda/step/update_sinks.h"
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
  /// `joined`: copies that may run at one time are one stage.
  Sequencer(const Program& program, const GpuFacts& gpu, bool joined)
      : program_(program), gpu_(gpu), joined_(joined) {}

  template <typename Cut>
  std::vector<PlacedStage> run(Cut&& cut) {
    for (std::size_t i = 0; i < program_.main.size(); ++i) {
      add(program_.main[i], cut(program_.main[i], static_cast<int>(i)), false);
    }
    add_copies(program_.snapshots, false);
    for (const Launch& launch : program_.commit) add(launch, cut(launch, -1), true);
    add_copies(program_.copies, true);
    PlacedStage end;
    end.stage = finish_stage(program_);
    end.last = true;
    placed_.push_back(std::move(end));
    return std::move(placed_);
  }

  std::vector<PlacedStage> refresh() {
    for (const Launch& launch : program_.refresh) {
      add(launch, kernel_of(launch).stages(grid_request(launch)), false);
    }
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
      placed.ticket_offset = ticket_bytes_;
      ticket_bytes_ += placed.stage.tickets * kTicketBytes;
      placed_.push_back(std::move(placed));
    }
  }
  void add_copies(std::span<const SlotCopy> copies, bool commit) {
    std::vector<Stage> stages;
    if (joined_) {
      stages = copy_stages(program_, copies, commit);
    } else {
      for (const SlotCopy& copy : copies) {
        if (program_.slots[static_cast<std::size_t>(copy.to)].bytes() == 0) continue;
        stages.push_back(copy_stage(program_, copy, commit));
      }
    }
    for (Stage& stage : stages) placed_.emplace_back().stage = std::move(stage);
  }

  const Program& program_;
  const GpuFacts& gpu_;
  bool joined_;
  std::vector<PlacedStage> placed_;
  std::int64_t ticket_bytes_ = 0;
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
    const double share = 1.0 / static_cast<double>(items);
    // Every item reads what it does not have to itself in full.
    const double moving = (bytes * share + shared_bytes) / kBytesPerCycle;
    if (stage.unit_cycles > 0) {
      return rounds *
             std::max(static_cast<double>(stage.units_per_item) * stage.unit_cycles, moving);
    }
    return facts.stage + rounds * std::max(stage.flops * share / kFlopsPerCycle, moving);
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
  Sequencer sequencer(program, gpu, true);
  return sequencer.run([&](const Launch& launch, int) {
    StageRequest request = sequencer.grid_request(launch);
    request.library = library;
    return kernel_of(launch).stages(request);
  });
}

std::vector<PlacedStage> refresh_sequence(const Program& program, const GpuFacts& gpu) {
  return Sequencer(program, gpu, true).refresh();
}

namespace {

/// Cuts and orders a step's stages.
class Scheduler {
 public:
  Scheduler(const Program& program, const GpuFacts& gpu)
      : program_(program), gpu_(gpu), batch_(find_batch(program)) {}

  Schedule run() {
    Schedule result = order();
    const auto cut = [&](int node, int processors) {
      for (const auto* list : {&program_.main, &program_.commit}) {
        for (const Launch& launch : *list) {
          if (launch.node->id() != node) continue;
          return kernel_of(launch).stages({.launch = launch, .multiprocessors = processors});
        }
      }
      return std::vector<Stage>{};
    };
    shares_ = grid_shares(program_, gpu_, result.phases, cut);
    return shares_.empty() ? std::move(result) : order();
  }

 private:
  [[nodiscard]] StageRequest grid_request(const Launch& launch) const {
    const auto it = shares_.find(launch.node->id());
    return {.launch = launch,
            .multiprocessors = it == shares_.end() ? gpu_.multiprocessors : it->second};
  }

  [[nodiscard]] std::vector<Stage> cut(const Launch& launch, int main_index) const {
    const LatencyFacts facts;
    const CudaKernel& kernel = kernel_of(launch);
    std::vector<Stage> grid = kernel.stages(grid_request(launch));
    for (Stage& stage : grid) {
      if (stage.units == 1) stage.mode = Mode::single;
    }
    if (main_index < 0 || batch_.items < 2) return grid;
    const BatchUse& use = batch_.main[static_cast<std::size_t>(main_index)];
    if (use.kind == BatchUse::Kind::none || !kernel.separable(batch_.items)) return grid;
    StageRequest request{.launch = launch, .multiprocessors = gpu_.multiprocessors};
    request.mode = Mode::item;
    request.items = batch_.items;
    request.item_inputs = use.item_inputs;
    request.reduced = use.kind == BatchUse::Kind::reduced;
    std::vector<Stage> items = kernel.stages(request);
    for (Stage& stage : items) {
      if (stage.mode == Mode::grid && stage.units == 1) stage.mode = Mode::single;
    }
    const double by_item = item_cycles(program_, items, batch_.items, gpu_.multiprocessors);
    const double by_grid = grid_cycles(program_, grid, gpu_.multiprocessors);
    // Staying with the item saves the barrier that all blocks would need.
    return by_item <= by_grid + facts.barrier ? items : grid;
  }

  [[nodiscard]] Schedule order() const {
    Schedule result;
    result.items = batch_.items;
    Sequencer sequencer(program_, gpu_, false);
    std::vector<PlacedStage> stages =
        sequencer.run([&](const Launch& launch, int index) { return cut(launch, index); });
    result.updates =
        sink_updates(program_, stages, [&](const Launch& launch, const std::vector<int>& updated) {
          StageRequest request = grid_request(launch);
          request.updated = updated;
          std::vector<Stage> rest = kernel_of(launch).stages(request);
          for (Stage& stage : rest) {
            stage.commit = true;
            if (stage.units == 1) stage.mode = Mode::single;
            drop_unused(stage);
          }
          return rest;
        });
    result.phases = phases_of(program_, std::move(stages));
    result.cycles = expected_cycles(result);
    return result;
  }

  [[nodiscard]] double expected_cycles(const Schedule& schedule) const {
    const LatencyFacts facts;
    double cycles = 0;
    const auto add = [&](double& sum, const std::vector<PlacedStage>& list) {
      for (const PlacedStage& placed : list) {
        sum += stage_cycles(program_, placed.stage, batch_.items, gpu_.multiprocessors);
      }
    };
    for (const Phase& phase : schedule.phases) {
      double widest = 0;
      double chain = 0;
      add(chain, phase.items);
      for (const auto* list : {&phase.every, &phase.grid, &phase.single}) add(widest, *list);
      cycles += facts.barrier + std::max(chain, widest);
    }
    return cycles;
  }

  const Program& program_;
  const GpuFacts& gpu_;
  BatchAxes batch_;
  GridShares shares_;
};

}  // namespace

Schedule schedule(const Program& program, const GpuFacts& gpu) {
  return Scheduler(program, gpu).run();
}

}  // namespace ingot::cuda
