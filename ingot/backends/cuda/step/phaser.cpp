#include "ingot/backends/cuda/step/phaser.h"

#include <algorithm>
#include <utility>

#include "ingot/backends/cuda/step/step_cost.h"

namespace ingot::cuda {
namespace {

// A stage that every block repeats costs them all what it costs one.
constexpr double kMostRepeated = 1500;

class Phaser {
 public:
  explicit Phaser(const Program& program) : program_(program) {}

  std::vector<Phase> run(std::vector<PlacedStage> stages) {
    std::vector<Phase> phases;
    while (!stages.empty()) {
      entries_.clear();
      lanes_ = 0;
      std::vector<PlacedStage> deferred;
      bool judge_left = false;
      for (PlacedStage& placed : stages) {
        const bool judge = is_judge(placed);
        const bool waits =
            (ends(placed) && judge_left) || meets(deferred, placed) || !join(placed, judge);
        if (!waits) continue;
        judge_left |= judge;
        deferred.push_back(std::move(placed));
      }
      phases.push_back(take_phase());
      stages = std::move(deferred);
    }
    return phases;
  }

 private:
  struct Entry {
    PlacedStage placed;
    bool judge;
    bool every = false;  ///< all blocks run it
  };

  static bool ends(const PlacedStage& placed) {
    return placed.stage.commit || placed.last || !placed.updates.empty();
  }

  /// Whether what the stage finds decides if the step changes anything.
  [[nodiscard]] bool is_judge(const PlacedStage& placed) const {
    if (placed.stage.commit || placed.last) return false;
    if (placed.stage.body.find("latch(") != std::string::npos) return true;
    return std::ranges::any_of(placed.stage.accesses, [&](const Access& access) {
      return access.write && access.slot >= 0 &&
             std::ranges::any_of(program_.fetches, [&](const BoundFetch& fetch) {
               const Slot& slot = program_.slots[static_cast<std::size_t>(fetch.slot)];
               return fetch.ring_index >= 0 && is_float(slot.value.dtype()) &&
                      program_.root_of(fetch.slot) == program_.root_of(access.slot);
             });
    });
  }

  [[nodiscard]] bool meets(const std::vector<PlacedStage>& others, const PlacedStage& own) const {
    return std::ranges::any_of(
        others, [&](const PlacedStage& other) { return conflict_of(program_, other, own).any; });
  }

  bool join(PlacedStage& placed, bool judge) {
    int lane = -1;
    std::vector<std::size_t> needed;  // entries whose results all blocks need
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      const Entry& entry = entries_[i];
      if (ends(placed) && entry.judge && !entry.every) needed.push_back(i);
      const Conflict conflict = conflict_of(program_, entry.placed, placed);
      if (!conflict.any) continue;
      if (entry.every) {
        if (!conflict.handed_on) return false;
        continue;
      }
      const Mode mode = entry.placed.stage.mode;
      const bool both = mode == placed.stage.mode;
      if (both && mode == Mode::item && conflict.by_item) continue;
      if (both && mode == Mode::single && (lane < 0 || lane == entry.placed.lane)) {
        lane = entry.placed.lane;
        continue;
      }
      if (mode != Mode::single || !conflict.handed_on) return false;
      needed.push_back(i);
    }
    std::vector<bool> every(entries_.size());
    for (const std::size_t i : needed) {
      if (!repeat(i, every)) return false;
    }
    for (std::size_t i = 0; i < every.size(); ++i) entries_[i].every |= every[i];
    if (placed.stage.mode == Mode::single) placed.lane = lane < 0 ? lanes_++ : lane;
    entries_.push_back({std::move(placed), judge});
    return true;
  }

  /// Marks the entry, and those of this phase that it reads from, to be run by all blocks; false
  /// where that would be wrong or take long.
  [[nodiscard]] bool repeat(std::size_t i, std::vector<bool>& every) const {
    if (entries_[i].every || every[i]) return true;
    const PlacedStage& own = entries_[i].placed;
    if (own.stage.mode != Mode::single || own.stage.units > 1 || ends(own)) return false;
    if (own.stage.body.find("latch(") != std::string::npos) return false;
    if (stage_cycles(program_, own.stage, 1, 1) > kMostRepeated) return false;
    if (overwrites_operand(own)) return false;
    every[i] = true;
    for (std::size_t k = 0; k < entries_.size(); ++k) {
      if (k == i) continue;
      const Conflict conflict = k < i ? conflict_of(program_, entries_[k].placed, own)
                                      : conflict_of(program_, own, entries_[k].placed);
      if (!conflict.any) continue;
      if (!conflict.handed_on) return false;
      if (k < i && !repeat(k, every)) return false;
    }
    return true;
  }

  [[nodiscard]] bool overwrites_operand(const PlacedStage& placed) const {
    const auto& accesses = placed.stage.accesses;
    const auto memory = [&](const Access& a) { return a.slot < 0 ? -1 : program_.root_of(a.slot); };
    return std::ranges::any_of(accesses, [&](const Access& x) {
      return x.write && std::ranges::any_of(accesses, [&](const Access& y) {
               return !y.write && memory(x) == memory(y);
             });
    });
  }

  Phase take_phase() {
    Phase phase;
    phase.lanes = lanes_;
    for (Entry& entry : entries_) {
      auto& list = entry.every                             ? phase.every
                   : entry.placed.stage.mode == Mode::item ? phase.items
                   : entry.placed.stage.mode == Mode::grid ? phase.grid
                                                           : phase.single;
      list.push_back(std::move(entry.placed));
    }
    return phase;
  }

  const Program& program_;
  std::vector<Entry> entries_;  ///< of the phase that is being filled, in order
  int lanes_ = 0;
};

}  // namespace

Conflict conflict_of(const Program& program, const PlacedStage& earlier, const PlacedStage& later) {
  Conflict conflict;
  const auto memory_of = [&](const PlacedStage& placed, const Access& access) {
    // Workspaces do not overlap, since every stage's memory lives throughout the step.
    return access.slot < 0 ? std::pair{1, placed.scratch_offset}
                           : std::pair{0, std::int64_t{program.root_of(access.slot)}};
  };
  for (const Access& x : earlier.stage.accesses) {
    for (const Access& y : later.stage.accesses) {
      if (!x.write && !y.write) continue;
      if (memory_of(earlier, x) != memory_of(later, y)) continue;
      conflict.any = true;
      conflict.by_item &= x.by_item && y.by_item;
      conflict.handed_on &= x.write && !y.write;
    }
  }
  return conflict;
}

std::vector<Phase> phases_of(const Program& program, std::vector<PlacedStage> stages) {
  return Phaser(program).run(std::move(stages));
}

}  // namespace ingot::cuda
