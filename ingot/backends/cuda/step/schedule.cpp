#include "ingot/backends/cuda/step/schedule.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "ingot/backends/cuda/kernels/cuda_kernel.h"
#include "ingot/backends/cuda/step/batch_axes.h"
#include "ingot/backends/cuda/step/grid_shares.h"
#include "ingot/backends/cuda/step/phaser.h"
#include "ingot/backends/cuda/step/step_cost.h"
#include "ingot/backends/cuda/step/step_stages.h"
#include "ingot/backends/cuda/step/update_sinks.h"
#include "ingot/base/error.h"

namespace ingot::cuda {
namespace {

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

std::vector<Stage> stages_of(const StageRequest& request) {
  std::vector<Stage> stages = kernel_of(request.launch).stages(request);
  for (Stage& stage : stages) drop_unused(stage);
  return stages;
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
      add(launch, stages_of(grid_request(launch)), false);
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

}  // namespace

std::vector<PlacedStage> sequence(const Program& program, const GpuFacts& gpu, bool library) {
  Sequencer sequencer(program, gpu, true);
  return sequencer.run([&](const Launch& launch, int) {
    StageRequest request = sequencer.grid_request(launch);
    request.library = library;
    return stages_of(request);
  });
}

std::vector<PlacedStage> refresh_sequence(const Program& program, const GpuFacts& gpu) {
  return Sequencer(program, gpu, true).refresh();
}

namespace {

// The most changes to the cut of launches that are tried, however many there are.
constexpr int kMostTries = 200;

/// Cuts and orders a step's stages.
class Scheduler {
 public:
  Scheduler(const Program& program, const GpuFacts& gpu)
      : program_(program), gpu_(gpu), batch_(find_batch(program)), forms_(program.main.size()) {}

  Schedule run() {
    for (std::size_t i = 0; i < forms_.size(); ++i) prepare(i);
    Choice choice = separately();
    double cycles = improve(choice);
    Choice spread = all_over_the_grid();
    if (spread != choice) {
      const double other = improve(spread);
      if (other < cycles) choice = std::move(spread);
    }
    Schedule result = order(choice);
    const auto cut = [&](int node, int processors) { return cut_for(node, processors); };
    shares_ = grid_shares(program_, gpu_, result.phases, cut);
    if (!shares_.empty()) {
      for (Forms& forms : forms_) forms.grid.reset();
      commit_.clear();
      result = order(choice);
    }
    return result;
  }

 private:
  /// Whether each launch of the main part works item by item.
  using Choice = std::vector<bool>;

  /// The stages of a launch in both forms.
  struct Forms {
    std::optional<std::vector<Stage>> grid;
    std::vector<Stage> items;  ///< empty: it has no such form
    double grid_cycles = 0, item_cycles = 0;
  };

  void prepare(std::size_t i) {
    const Launch& launch = program_.main[i];
    Forms& forms = forms_[i];
    forms.grid_cycles = cycles_over_grid(program_, grid_stages(i), gpu_.multiprocessors);
    if (!by_items(i)) return;
    StageRequest request = item_request(launch, i);
    request.mode = Mode::item;
    forms.items = stages_of(request);
    for (Stage& stage : forms.items) {
      if (stage.mode == Mode::grid && stage.units == 1) stage.mode = Mode::single;
    }
    forms.item_cycles = cycles_by_item(program_, forms.items, batch_.items, gpu_.multiprocessors);
  }

  /// Whether the launch has a form for items.
  [[nodiscard]] bool by_items(std::size_t i) const {
    return batch_.items >= 2 && batch_.main[i].kind != BatchUse::Kind::none &&
           kernel_of(program_.main[i]).separable(batch_.items);
  }
  [[nodiscard]] StageRequest item_request(const Launch& launch, std::size_t i) const {
    StageRequest request = grid_request(launch);
    request.items = batch_.items;
    request.item_inputs = batch_.main[i].item_inputs;
    request.reduced = batch_.main[i].kind == BatchUse::Kind::reduced;
    return request;
  }
  [[nodiscard]] StageRequest grid_request(const Launch& launch) const {
    const auto it = shares_.find(launch.node->id());
    return {.launch = launch,
            .multiprocessors = it == shares_.end() ? gpu_.multiprocessors : it->second};
  }
  static std::vector<Stage> over_grid(const StageRequest& request) {
    std::vector<Stage> stages = stages_of(request);
    for (Stage& stage : stages) {
      if (stage.units == 1) stage.mode = Mode::single;
    }
    return stages;
  }
  const std::vector<Stage>& grid_stages(std::size_t i) {
    const Launch& launch = program_.main[i];
    std::optional<std::vector<Stage>>& grid = forms_[i].grid;
    if (!grid) grid = over_grid(by_items(i) ? item_request(launch, i) : grid_request(launch));
    return *grid;
  }
  const std::vector<Stage>& commit_stages(const Launch& launch) {
    const auto [it, fresh] = commit_.try_emplace(launch.node->id());
    if (fresh) it->second = over_grid(grid_request(launch));
    return it->second;
  }
  /// The stages of a Node that is cut for all blocks, for fewer.
  [[nodiscard]] std::vector<Stage> cut_for(int node, int processors) const {
    for (std::size_t i = 0; i < program_.main.size(); ++i) {
      const Launch& launch = program_.main[i];
      if (launch.node->id() != node) continue;
      StageRequest request = by_items(i) ? item_request(launch, i) : grid_request(launch);
      request.multiprocessors = processors;
      return kernel_of(launch).stages(request);
    }
    for (const Launch& launch : program_.commit) {
      if (launch.node->id() != node) continue;
      return kernel_of(launch).stages({.launch = launch, .multiprocessors = processors});
    }
    return {};
  }

  /// Each launch in the form that is faster with one barrier for the other.
  [[nodiscard]] Choice separately() const {
    const LatencyFacts facts;
    Choice choice;
    for (const Forms& forms : forms_) {
      // Staying with the item saves the barrier that all blocks would need.
      choice.push_back(!forms.items.empty() &&
                       forms.item_cycles <= forms.grid_cycles + facts.barrier);
    }
    return choice;
  }
  /// Whatever is worth a barrier over all blocks.
  [[nodiscard]] Choice all_over_the_grid() const {
    const LatencyFacts facts;
    Choice choice;
    for (const Forms& forms : forms_) {
      choice.push_back(!forms.items.empty() && forms.item_cycles <= facts.barrier);
    }
    return choice;
  }

  /// Changes launches' forms one by one as long as the step gets faster; returns its cycles.
  double improve(Choice& choice) {
    const LatencyFacts facts;
    double cycles = order(choice).cycles;
    int tries = 0;
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t i = 0; i < choice.size(); ++i) {
        const Forms& forms = forms_[i];
        if (forms.items.empty() || std::max(forms.item_cycles, forms.grid_cycles) < facts.stage) {
          continue;
        }
        if (++tries > kMostTries) return cycles;
        choice[i] = !choice[i];
        const double other = order(choice).cycles;
        if (other < cycles) {
          cycles = other;
          changed = true;
        } else {
          choice[i] = !choice[i];
        }
      }
    }
    return cycles;
  }

  [[nodiscard]] Schedule order(const Choice& choice) {
    Schedule result;
    result.items = batch_.items;
    Sequencer sequencer(program_, gpu_, false);
    std::vector<PlacedStage> stages = sequencer.run([&](const Launch& launch, int index) {
      if (index < 0) return commit_stages(launch);
      const auto i = static_cast<std::size_t>(index);
      return choice[i] ? forms_[i].items : grid_stages(i);
    });
    result.updates =
        sink_updates(program_, stages, [&](const Launch& launch, const std::vector<int>& updated) {
          StageRequest request = grid_request(launch);
          request.updated = updated;
          std::vector<Stage> rest = over_grid(request);
          for (Stage& stage : rest) stage.commit = true;
          return rest;
        });
    result.phases = phases_of(program_, std::move(stages));
    for (const Phase& phase : result.phases) {
      result.cycles += phase_cycles(program_, phase, batch_.items, gpu_.multiprocessors);
    }
    return result;
  }

  const Program& program_;
  const GpuFacts& gpu_;
  BatchAxes batch_;
  std::vector<Forms> forms_;                            ///< of the launches of the main part
  std::unordered_map<int, std::vector<Stage>> commit_;  ///< of those at the end, by Node's id
  GridShares shares_;
};

}  // namespace

Schedule schedule(const Program& program, const GpuFacts& gpu) {
  return Scheduler(program, gpu).run();
}

}  // namespace ingot::cuda
