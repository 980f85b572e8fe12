#include "ingot/backends/cuda/step/local_slots.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "ingot/backends/cuda/step/update_sinks.h"

namespace ingot::cuda {
namespace {

// Leaves room for tiles, and for the first-level cache, which shares the memory.
constexpr std::int64_t kMostBytes = 104 << 10;
// A copy of more would take longer than reading it through the cache.
constexpr std::int64_t kMostCopied = 40 << 10;
// Of a result that every block finds for itself.
constexpr std::int64_t kMostRepeated = 1 << 10;

/// How a root is used in one phase.
struct Use {
  bool item_reads = false;
  bool item_writes = false;
  bool others = false;   ///< stages of other modes touch it
  bool by_item = true;   ///< all uses by item stages are
  bool renewed = false;  ///< the first item stage that touches it writes all of it
  bool stored = true;    ///< all writes are of store_text()
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

  [[nodiscard]] std::vector<PhaseLocals> run() const {
    std::vector<PhaseLocals> all(schedule_.phases.size());
    std::int64_t repeated = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      place_repeated(all[i], i);
      repeated = std::max(repeated, all[i].bytes);
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i].bytes = repeated;
      if (schedule_.items > 0) place_items(all[i], i);
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::size_t front = (i + all.size() - 1) % all.size();
      if (!all[front].places.empty()) continue;
      for (auto* list : {&all[i].once, &all[i].per_item}) {
        for (LocalCopy& copy : *list) {
          copy.early = !changes(front, copy.root) && !every_changes(i, copy.root);
        }
      }
    }
    return all;
  }

 private:
  void place_items(PhaseLocals& locals, std::size_t phase) const {
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
      if (locals.bytes + bytes > kMostBytes || locals.every.contains(root)) continue;
      const bool elsewhere = use.item_writes && phases_.at(root) > 1;
      locals.places[root] = {locals.bytes, use.by_item ? bytes : 0, elsewhere};
      locals.bytes += (bytes + 15) / 16 * 16;
      if (!use.item_writes) {
        (use.by_item ? locals.per_item : locals.once).push_back({root, bytes});
      }
    }
  }

  /// Bytes that it takes in shared memory; 0: stays in global memory.
  [[nodiscard]] std::int64_t local_bytes(int root, const Use& use) const {
    const Slot& slot = program_.slots[static_cast<std::size_t>(root)];
    if (!use.item_reads && !use.item_writes) return 0;
    if (use.by_item && slot.bytes() % schedule_.items != 0) return 0;
    const std::int64_t bytes = use.by_item ? slot.bytes() / schedule_.items : slot.bytes();
    if (use.item_writes) {
      if (use.others || !use.by_item) return 0;
      const bool only_here = phases_.at(root) == 1 && slot.storage == Slot::Storage::scratch;
      // What is needed elsewhere besides is stored in both places.
      const bool read_again = use.item_reads && use.renewed && use.stored;
      return only_here || read_again ? bytes : 0;
    }
    return bytes > kMostCopied || bytes % 4 != 0 ? 0 : bytes;
  }

  /// Results of stages that every block runs.
  void place_repeated(PhaseLocals& locals, std::size_t phase) const {
    const auto& every = schedule_.phases[phase].every;
    for (const PlacedStage& placed : every) {
      for (const Access& access : placed.stage.accesses) {
        if (!access.write || access.slot < 0) continue;
        const int root = program_.root_of(access.slot);
        const Slot& slot = program_.slots[static_cast<std::size_t>(root)];
        const bool fits = slot.bytes() > 0 && slot.bytes() <= kMostRepeated &&
                          slot.storage == Slot::Storage::scratch;
        const auto others = std::ranges::count_if(
            every, [&](const PlacedStage& other) { return writes(other, root); });
        if (!fits || others > 1 || !writes_all(placed, root) || is_for_updates(root)) continue;
        locals.every[root] = {locals.bytes, 0, true};
        locals.bytes += (slot.bytes() + 15) / 16 * 16;
      }
    }
  }

  /// Updates are functions that all stages share, which know no block's own memory.
  [[nodiscard]] bool is_for_updates(int root) const {
    return std::ranges::any_of(schedule_.updates, [&](const Update& update) {
      return std::ranges::any_of(update.accesses, [&](const Access& access) {
        return access.slot >= 0 && program_.root_of(access.slot) == root;
      });
    });
  }

  void note(const PlacedStage& placed, std::size_t phase, bool is_item) {
    for (const Access& access : placed.stage.accesses) {
      if (access.slot < 0) continue;
      const int root = program_.root_of(access.slot);
      const auto [it, fresh] = uses_[phase].emplace(root, Use{});
      if (fresh) ++phases_[root];
      Use& use = it->second;
      if (fresh) use.renewed = is_item && writes_all(placed, root) && !reads(placed, root);
      if (!is_item) {
        use.others = true;
        continue;
      }
      (access.write ? use.item_writes : use.item_reads) = true;
      use.by_item &= access.by_item;
      use.stored &= !access.write || stores(program_, placed.stage, root);
    }
  }

  /// Stages that every block runs before its items.
  [[nodiscard]] bool every_changes(std::size_t number, int root) const {
    return std::ranges::any_of(schedule_.phases[number].every,
                               [&](const PlacedStage& placed) { return writes(placed, root); });
  }
  [[nodiscard]] bool changes(std::size_t number, int root) const {
    const Phase& phase = schedule_.phases[number];
    const auto own = [&](const PlacedStage& placed) { return writes(placed, root); };
    return std::ranges::any_of(std::array{&phase.every, &phase.items, &phase.grid, &phase.single},
                               [&](const auto* list) { return std::ranges::any_of(*list, own); });
  }
  [[nodiscard]] bool touches(const PlacedStage& placed, int root, bool write) const {
    return std::ranges::any_of(placed.stage.accesses, [&](const Access& access) {
      return access.write == write && access.slot >= 0 && program_.root_of(access.slot) == root;
    });
  }
  [[nodiscard]] bool reads(const PlacedStage& placed, int root) const {
    return touches(placed, root, false);
  }
  [[nodiscard]] bool writes(const PlacedStage& placed, int root) const {
    return touches(placed, root, true);
  }
  /// By store_text(), not through a slot that stands for a part.
  [[nodiscard]] bool writes_all(const PlacedStage& placed, int root) const {
    const std::int64_t bytes = program_.slots[static_cast<std::size_t>(root)].bytes();
    return stores(program_, placed.stage, root) &&
           std::ranges::any_of(placed.stage.accesses, [&](const Access& access) {
             return access.write && access.slot >= 0 && program_.root_of(access.slot) == root &&
                    program_.slots[static_cast<std::size_t>(access.slot)].bytes() == bytes;
           });
  }

  const Program& program_;
  const Schedule& schedule_;
  std::vector<std::map<int, Use>> uses_;  ///< by phase, by root
  std::map<int, int> phases_;             ///< that touch the root; more for a fetched one
};

}  // namespace

std::vector<PhaseLocals> local_slots(const Program& program, const Schedule& schedule) {
  return Locals(program, schedule).run();
}

}  // namespace ingot::cuda
