#include "ingot/backends/cuda/step/grid_shares.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "ingot/backends/cuda/step/step_cost.h"

namespace ingot::cuda {
namespace {

// Parts of all multiprocessors that are tried for one launch.
constexpr std::array kParts{1.0, 0.75, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.06, 0.03, 0.015};

/// A way to cut a launch.
struct Option {
  int processors = 0;
  std::int64_t units = 0;
  double cycles = 0;
};

/// A launch of a phase and the ways to cut it, one that takes all multiprocessors first.
struct Choice {
  int node = -1;
  std::vector<Option> options;

  /// The one of the fewest units that takes at most `cycles`.
  [[nodiscard]] const Option* within(double cycles) const {
    const Option* best = nullptr;
    for (const Option& option : options) {
      if (option.cycles > cycles) continue;
      if (best == nullptr || option.units < best->units) best = &option;
    }
    return best;
  }
};

std::optional<Option> option_of(const Program& program, const std::vector<Stage>& stages,
                                int processors, int blocks) {
  // Parts that a later stage adds up are that stage's business, too.
  if (stages.size() != 1 || stages[0].mode == Mode::item) return std::nullopt;
  return Option{processors, stages[0].units, stage_cycles(program, stages[0], 1, blocks)};
}

}  // namespace

GridShares grid_shares(const Program& program, const GpuFacts& gpu,
                       const std::vector<Phase>& phases,
                       const std::function<std::vector<Stage>(int node, int processors)>& cut) {
  GridShares shares;
  const int blocks = gpu.multiprocessors;
  for (const Phase& phase : phases) {
    std::int64_t fixed = phase.lanes;
    std::int64_t total = fixed;
    std::vector<Choice> choices;
    for (const PlacedStage& placed : phase.grid) {
      total += placed.stage.units;
      Choice choice{placed.node, {}};
      for (const double part : kParts) {
        const int processors = std::max(static_cast<int>(part * blocks), 1);
        const auto option =
            placed.node < 0 ? std::nullopt
                            : option_of(program, cut(placed.node, processors), processors, blocks);
        if (!option) break;
        choice.options.push_back(*option);
      }
      if (choice.options.empty()) {
        fixed += placed.stage.units;
      } else {
        choices.push_back(std::move(choice));
      }
    }
    if (!phase.items.empty() || choices.size() < 2 || total <= blocks) continue;
    std::vector<double> limits;
    for (const Choice& choice : choices) {
      for (const Option& option : choice.options) limits.push_back(option.cycles);
    }
    std::ranges::sort(limits);
    for (const double limit : limits) {
      std::int64_t units = fixed;
      const auto fits = [&](const Choice& choice) {
        const Option* option = choice.within(limit);
        units += option == nullptr ? 0 : option->units;
        return option != nullptr;
      };
      if (!std::ranges::all_of(choices, fits) || units > blocks) continue;
      for (const Choice& choice : choices) {
        shares[choice.node] = choice.within(limit)->processors;
      }
      break;
    }
  }
  return shares;
}

}  // namespace ingot::cuda
