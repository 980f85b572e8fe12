#include "ingot/backends/cuda/step/stage_levels.h"

#include <algorithm>
#include <cstddef>

#include "ingot/backends/cuda/step/phaser.h"

namespace ingot::cuda {
namespace {

constexpr int kWarps = kThreads / 32;
// Of stages that could as well use the same memory one after the other.
constexpr int kMostShared = 48 << 10;

bool is_narrow(const Stage& stage) { return stage.threads_used <= kThreads - 32; }

/// Gives narrow stages warps of their own as long as there are some.
void place_warps(Level& level) {
  std::ranges::stable_partition(level.stages,
                                [](const LevelStage& s) { return !is_narrow(s.placed->stage); });
  int next = 0;
  for (LevelStage& own : level.stages) {
    if (!is_narrow(own.placed->stage)) continue;
    const int warps = own.placed->stage.threads_used / 32;
    if (next + warps > kWarps) next = 0;
    own.first_warp = next;
    next += warps;
  }
}

}  // namespace

std::vector<Level> levels_of(const Program& program, const std::vector<PlacedStage>& stages) {
  std::vector<Level> levels;
  std::vector<std::size_t> numbers;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    std::size_t number = 0;
    for (std::size_t k = 0; k < i; ++k) {
      if (numbers[k] < number || !conflict_of(program, stages[k], stages[i]).any) continue;
      number = numbers[k] + 1;
    }
    const int bytes = (stages[i].stage.shared_bytes + 15) / 16 * 16;
    while (number < levels.size() && levels[number].shared_bytes > 0 && bytes > 0 &&
           levels[number].shared_bytes + bytes > kMostShared) {
      ++number;
    }
    if (number == levels.size()) levels.emplace_back();
    Level& level = levels[number];
    level.stages.push_back({&stages[i], -1, level.shared_bytes});
    level.shared_bytes += bytes;
    numbers.push_back(number);
  }
  for (Level& level : levels) place_warps(level);
  return levels;
}

}  // namespace ingot::cuda
