#include "ingot/backends/cuda/step/update_sinks.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "ingot/backends/cuda/kernels/cuda_kernel.h"
#include "ingot/backends/cuda/step/phaser.h"

namespace ingot::cuda {
namespace {

class Sinks {
 public:
  Sinks(const Program& program, std::vector<PlacedStage>& stages)
      : program_(program), stages_(stages) {}

  /// The slots whose updates found a place.
  std::vector<int> place(const Launch& launch) {
    const auto* kernel = dynamic_cast<const CudaKernel*>(launch.kernel.get());
    std::vector<int> placed;
    if (kernel == nullptr) return placed;
    for (const Update& update : kernel->updates()) {
      const auto first = std::ranges::find_if(
          stages_, [&](const PlacedStage& s) { return s.node == launch.node->id(); });
      const std::optional<std::size_t> producer = producer_of(update.slot);
      const auto end = static_cast<std::size_t>(first - stages_.begin());
      if (first == stages_.end() || !producer || !may_move(*producer, end)) continue;
      PlacedStage& stage = stages_[*producer];
      stage.updates.push_back(static_cast<int>(updates_.size()));
      stage.stage.accesses.insert(stage.stage.accesses.end(), update.accesses.begin(),
                                  update.accesses.end());
      std::rotate(stages_.begin() + static_cast<std::ptrdiff_t>(*producer),
                  stages_.begin() + static_cast<std::ptrdiff_t>(*producer) + 1, first);
      placed.push_back(update.slot);
      updates_.push_back(update);
    }
    return placed;
  }

  std::vector<Update> take() { return std::move(updates_); }

 private:
  /// The one stage that writes the slot, element by element and each once.
  [[nodiscard]] std::optional<std::size_t> producer_of(int slot) const {
    const int root = program_.root_of(slot);
    const Slot& whole = program_.slots[static_cast<std::size_t>(root)];
    const Slot& own = program_.slots[static_cast<std::size_t>(slot)];
    const bool plain = whole.value.layout().is_plain() && own.value.layout().is_plain();
    if (!plain || whole.bytes() != own.bytes()) return std::nullopt;
    if (whole.storage != Slot::Storage::scratch) return std::nullopt;
    std::optional<std::size_t> found;
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      const Stage& stage = stages_[i].stage;
      const bool writes = std::ranges::any_of(stage.accesses, [&](const Access& a) {
        return a.write && a.slot >= 0 && program_.root_of(a.slot) == root;
      });
      if (!writes) continue;
      if (found || stage.mode == Mode::item || stage.commit || !stores(program_, stage, root)) {
        return std::nullopt;
      }
      found = i;
    }
    return found;
  }

  /// Whether nothing between the stage and place `end` minds that it comes later.
  [[nodiscard]] bool may_move(std::size_t from, std::size_t end) const {
    if (from >= end) return false;
    for (std::size_t i = from + 1; i < end; ++i) {
      if (conflict_of(program_, stages_[from], stages_[i]).any) return false;
    }
    return true;
  }

  const Program& program_;
  std::vector<PlacedStage>& stages_;
  std::vector<Update> updates_;
};

}  // namespace

std::vector<Update> sink_updates(
    const Program& program, std::vector<PlacedStage>& stages,
    const std::function<std::vector<Stage>(const Launch&, const std::vector<int>& updated)>&
        recut) {
  Sinks sinks(program, stages);
  for (const Launch& launch : program.commit) {
    const std::vector<int> placed = sinks.place(launch);
    if (placed.empty()) continue;
    const auto is_own = [&](const PlacedStage& s) { return s.node == launch.node->id(); };
    const auto first = std::ranges::find_if(stages, is_own);
    const auto at = first - stages.begin();
    const PlacedStage old = std::move(*first);
    std::erase_if(stages, is_own);
    std::vector<PlacedStage> rest;
    for (Stage& stage : recut(launch, placed)) {
      PlacedStage own = old;
      own.stage = std::move(stage);
      rest.push_back(std::move(own));
    }
    stages.insert(stages.begin() + at, std::make_move_iterator(rest.begin()),
                  std::make_move_iterator(rest.end()));
  }
  return sinks.take();
}

bool stores(const Program& program, const Stage& stage, int root) {
  std::size_t from = 0;
  while ((from = stage.body.find("@=", from)) != std::string::npos) {
    from += 2;
    if (program.root_of(std::stoi(stage.body.substr(from))) == root) return true;
  }
  return false;
}

}  // namespace ingot::cuda
