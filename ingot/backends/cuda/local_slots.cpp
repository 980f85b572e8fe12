#include "ingot/backends/cuda/local_slots.h"

#include <algorithm>
#include <map>
#include <utility>

namespace ingot::cuda {
namespace {

// Leaves room for tiles, and for the first-level cache, which shares the memory.
constexpr std::int64_t kMostBytes = 104 << 10;
// A copy of more would take longer than reading it through the cache.
constexpr std::int64_t kMostCopied = 40 << 10;

/// How a root is used in one phase.
struct Use {
  bool item_reads = false;
  bool item_writes = false;
  bool others = false;  ///< stages of other modes touch it
  bool by_item = true;  ///< all uses by item stages are
};

class Locals {
 public:
  Locals(const Program& program, const Schedule& schedule)
      : program_(program), schedule_(schedule), uses_(schedule.phases.size()) {
    for (std::size_t i = 0; i < schedule.phases.size(); ++i) {
      const Phase& phase = schedule.phases[i];
      for (const PlacedStage& placed : phase.items) note(placed, i, true);
      for (const auto* list : {&phase.every, &phase.grid, &phase.single}) {
        for (const PlacedStage& placed : *list) note(placed, i, false);
      }
    }
    for (const BoundFetch& fetch : program.fetches) ++phases_[program.root_of(fetch.slot)];
  }

  [[nodiscard]] PhaseLocals of_phase(std::size_t phase) const {
    PhaseLocals locals;
    if (schedule_.items == 0) return locals;
    // Small ones first: the most stages wait for those.
    std::vector<std::pair<std::int64_t, int>> sized;
    for (const auto& [root, use] : uses_[phase]) {
      if (const std::int64_t bytes = local_bytes(root, use); bytes > 0) {
        sized.emplace_back(bytes, root);
      }
    }
    std::ranges::sort(sized);
    for (const auto& [bytes, root] : sized) {
      const Use& use = uses_[phase].at(root);
      if (locals.bytes + bytes > kMostBytes) continue;
      locals.places[root] = {locals.bytes, use.by_item ? bytes : 0};
      locals.bytes += (bytes + 15) / 16 * 16;
      if (!use.item_writes) {
        (use.by_item ? locals.per_item : locals.once).push_back({root, bytes});
      }
    }
    return locals;
  }

 private:
  /// Bytes that it takes in shared memory; 0: stays in global memory.
  [[nodiscard]] std::int64_t local_bytes(int root, const Use& use) const {
    const Slot& slot = program_.slots[static_cast<std::size_t>(root)];
    if (!use.item_reads && !use.item_writes) return 0;
    if (use.by_item && slot.bytes() % schedule_.items != 0) return 0;
    const std::int64_t bytes = use.by_item ? slot.bytes() / schedule_.items : slot.bytes();
    if (use.item_writes) {
      const bool only_here = phases_.at(root) == 1 && !use.others && use.by_item;
      return only_here && slot.storage == Slot::Storage::scratch ? bytes : 0;
    }
    return bytes > kMostCopied || bytes % 4 != 0 ? 0 : bytes;
  }

  void note(const PlacedStage& placed, std::size_t phase, bool is_item) {
    for (const Access& access : placed.stage.accesses) {
      if (access.slot < 0) continue;
      const int root = program_.root_of(access.slot);
      const auto [it, fresh] = uses_[phase].emplace(root, Use{});
      if (fresh) ++phases_[root];
      Use& use = it->second;
      if (!is_item) {
        use.others = true;
        continue;
      }
      (access.write ? use.item_writes : use.item_reads) = true;
      use.by_item &= access.by_item;
    }
  }

  const Program& program_;
  const Schedule& schedule_;
  std::vector<std::map<int, Use>> uses_;  ///< by phase, by root
  std::map<int, int> phases_;             ///< that touch the root; more for a fetched one
};

}  // namespace

std::vector<PhaseLocals> local_slots(const Program& program, const Schedule& schedule) {
  const Locals locals(program, schedule);
  std::vector<PhaseLocals> all;
  for (std::size_t i = 0; i < schedule.phases.size(); ++i) all.push_back(locals.of_phase(i));
  return all;
}

}  // namespace ingot::cuda
