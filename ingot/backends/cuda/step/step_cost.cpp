#include "ingot/backends/cuda/step/step_cost.h"

#include <algorithm>

#include "ingot/backends/cuda/step/stage_levels.h"

namespace ingot::cuda {
namespace {

/// Of stages that one block runs in this order: those on warps of their own run at once.
double chain_cycles(const Program& program, const std::vector<PlacedStage>& stages,
                    std::int64_t items, int blocks) {
  double cycles = 0;
  for (const Level& level : levels_of(program, stages)) {
    double whole = 0;
    double narrow = 0;
    for (const LevelStage& own : level.stages) {
      const double one = stage_cycles(program, own.placed->stage, items, blocks);
      if (own.first_warp < 0) {
        whole += one;
      } else {
        narrow = std::max(narrow, one);
      }
    }
    cycles += whole + narrow;
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

double cycles_over_grid(const Program& program, const std::vector<Stage>& stages, int blocks) {
  const LatencyFacts facts;
  double cycles = 0;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    cycles += stage_cycles(program, stages[i], 1, blocks);
    // A second stage adds up what several blocks made.
    if (i > 0) cycles += facts.barrier;
  }
  return cycles;
}

double cycles_by_item(const Program& program, const std::vector<Stage>& stages, std::int64_t items,
                      int blocks) {
  double cycles = 0;
  for (const Stage& stage : stages) {
    if (stage.mode == Mode::item) cycles += stage_cycles(program, stage, items, blocks);
  }
  return cycles;
}

double phase_cycles(const Program& program, const Phase& phase, std::int64_t items, int blocks) {
  const LatencyFacts facts;
  const double each = chain_cycles(program, phase.every, items, blocks);
  std::vector<double> busy(static_cast<std::size_t>(blocks), each);
  std::size_t turn = 0;
  const auto give = [&](std::int64_t units, double cycles) {
    for (std::int64_t unit = 0; unit < std::min<std::int64_t>(units, blocks); ++unit) {
      busy[(turn + static_cast<std::size_t>(unit)) % busy.size()] += cycles;
    }
    turn = (turn + static_cast<std::size_t>(units)) % busy.size();
  };
  if (!phase.items.empty()) give(items, chain_cycles(program, phase.items, items, blocks));
  for (const PlacedStage& placed : phase.grid) {
    give(placed.stage.units, stage_cycles(program, placed.stage, items, blocks));
  }
  for (int lane = 0; lane < phase.lanes; ++lane) {
    double cycles = 0;
    for (const PlacedStage& placed : phase.single) {
      if (placed.lane == lane) cycles += stage_cycles(program, placed.stage, items, blocks);
    }
    give(1, cycles);
  }
  return facts.barrier + *std::ranges::max_element(busy);
}

}  // namespace ingot::cuda
