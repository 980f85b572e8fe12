// A step as one kernel, whose blocks wait for one another.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "ingot/backends/cuda/step/local_slots.h"
#include "ingot/backends/cuda/step/stage_levels.h"
#include "ingot/backends/cuda/step/step_source.h"
#include "ingot/backends/cuda/step/step_stages.h"
#include "ingot/backends/cuda/step/step_text.h"

namespace ingot::cuda {
namespace {

// Characters of the stages' text up to which a compiler finds the places of all of them before the
// first step, in registers, which many steps a call gain from; those of more would not fit.
constexpr std::size_t kMostAhead = 28'000;

class OneKernel {
 public:
  OneKernel(const Program& program, const Schedule& schedule, const SourceOptions& options)
      : program_(program),
        schedule_(schedule),
        options_(options),
        locals_(local_slots(program, schedule)),
        binder_(program, true) {
    binder_.set_items(schedule.items);
    for (const PhaseLocals& locals : locals_) local_bytes_ = std::max(local_bytes_, locals.bytes);
  }

  StepSource run() {
    for (std::size_t i = 0; i < schedule_.updates.size(); ++i) add_update(i);
    std::string body;
    // No kernel changes a feed: its first item is on its way while the step before ends.
    const auto is_feed = [this](const LocalCopy& copy) { return is_fed(copy.root); };
    body += early_copies(0, "0", is_feed) + "take_turn();\n";
    if (options_.profile) body += "i64 before = block == 0 ? clock64() : 0;\n";
    body += "bool go = true;\nint turn = block;\nu64 passed = barrier_start(P.control, blocks);\n";
    body += early_copies(0, "0", [&](const LocalCopy& copy) { return !is_feed(copy); });
    body += "for (i64 step = 0; step < P.steps; ++step) {\n";
    for (std::size_t i = 0; i < schedule_.phases.size(); ++i) {
      write_phase(body, schedule_.phases[i], i);
      const bool last = i + 1 == schedule_.phases.size();
      const std::string early = last ? early_copies(0, "step + 1") : early_copies(i + 1, "step");
      // Copies are under way while the blocks wait for one another.
      const std::string barrier = "barrier_arrive(P.control, passed, blocks);\n" + early +
                                  "barrier_wait(P.control, passed);\n";
      body += last ? fmt::format("if (step + 1 < P.steps) {{\n{}}}\n", barrier) : barrier;
      body += count_time(fmt::format("barrier after phase {}", i));
    }
    body += "}\n";
    StepSource source;
    std::string text =
        text_header() + params_struct("Params", binder_.pointers().size(), program_.feeds.size()) +
        functions_ +
        fmt::format(
            "extern \"C\" __global__ void __launch_bounds__({}, 1) step_kernel(const "
            "__grid_constant__ Params P) {{\nextern __shared__ __align__(16) char "
            "local[];\nchar* const smem = local + {};\n"
            "const int block = blockIdx.x, blocks = gridDim.x;\n",
            kThreads, local_bytes_) +
        body + "}\n";
    if (functions_.size() > kMostAhead) replace_all(text, "threadIdx.x", "thread_here()");
    source.texts.push_back(std::move(text));
    kernel_.shared_bytes += static_cast<int>(local_bytes_);
    kernel_.name = "step_kernel";
    kernel_.pointers = binder_.pointers();
    source.ticket_bytes = binder_.ticket_bytes();
    kernel_.cooperative = true;
    source.kernels.push_back(std::move(kernel_));
    source.cycles = schedule_.cycles;
    return source;
  }

 private:
  /// Time since the last such place goes to `what`, with the work of the stages called since.
  std::string count_time(const std::string& what) {
    if (!options_.profile) return {};
    kernel_.timed.push_back({what, std::exchange(flops_, 0), std::exchange(bytes_, 0)});
    return fmt::format(
        "if (block == 0 && threadIdx.x == 0) {{ const i64 now = clock64(); "
        "atomicAdd((u64*)P.counters + "
        "{}, (u64)(now - before)); before = now; }}\n",
        kernel_.timed.size() - 1);
  }

  /// Adds the stage as a function and returns its call. The stage's threads count from the warp
  /// and its shared memory from the place that the level gives it.
  std::string function(const LevelStage& own) {
    const PlacedStage& placed = *own.placed;
    const std::string name = fmt::format("stage_{}", count_++);
    std::string text = binder_.bind(placed.stage.body, placed);
    if (own.first_warp >= 0) replace_all(text, "threadIdx.x", "tid");
    functions_ += fmt::format(
        "// {}\nDEV void {}(const Params& P, i64 step, i64 item, int unit, char* smem, char* "
        "local, bool go, int tid) {{\n{}}}\n",
        placed.stage.what, name, text);
    kernel_.what.push_back(placed.stage.what);
    flops_ += placed.stage.flops;
    bytes_ += placed.stage.bytes;
    kernel_.shared_bytes =
        std::max(kernel_.shared_bytes, own.shared_offset + placed.stage.shared_bytes);
    std::string call =
        fmt::format("{}(P, step, {}, unit, smem + {}, local, go, (int)threadIdx.x - {});", name,
                    placed.stage.mode == Mode::item ? "item" : "0", own.shared_offset,
                    32 * std::max(own.first_warp, 0));
    if (own.first_warp < 0) return call;
    return fmt::format("if (threadIdx.x / 32 - {}u < {}u) {}", own.first_warp,
                       placed.stage.threads_used / 32, call);
  }
  std::string function(const PlacedStage& placed) { return function(LevelStage{&placed}); }

  static void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
      text.replace(at, from.size(), to);
    }
  }

  /// Stages that one block runs in this order.
  void write_levels(std::string& body, const std::vector<PlacedStage>& stages,
                    std::string_view where) {
    for (const Level& level : levels_of(program_, stages)) {
      std::string what;
      for (const LevelStage& own : level.stages) {
        const Stage& stage = own.placed->stage;
        const bool by_item = stage.mode == Mode::item;
        const std::int64_t units = by_item ? stage.units_per_item : stage.units;
        const bool from_zero = !by_item || Binder::sees_one_item(stage);
        const std::string call = function(own);
        if (units == 1) {
          body += fmt::format("{{ const int unit = {}; {} }}\n", from_zero ? "0" : "item", call);
        } else {
          body += unit_loop(
              from_zero ? fmt::format("int unit = 0; unit < {}; ++unit", units)
                        : fmt::format("int unit = item * {0}, stop = unit + {0}; unit < stop; "
                                      "++unit",
                                      units),
              call, stage);
        }
        what += (what.empty() ? "" : ", ") + stage.what;
      }
      body += "__syncthreads();\n";
      body += count_time(fmt::format("{}: {}", where, what));
    }
  }

  void write_phase(std::string& body, const Phase& phase, std::size_t number) {
    const PhaseLocals& locals = locals_[number];
    binder_.set_locals(locals.every);
    const bool decides = !go_known_ && ends_step(phase);
    if (decides) {
      // Its loads are under way while the rest that decides is found.
      body += fmt::format("const bool sound = {};\n", sound_so_far());
    }
    write_levels(body, phase.every, "each block");
    if (decides) {
      go_known_ = true;
      const std::string finite =
          options_.check_numerics ? binder_.bind(finite_fetches(program_), PlacedStage{}) : "";
      body += fmt::format("go = sound{};\n", finite);
    }
    std::int64_t used = 0;
    // How many blocks come before this one where the next units are given out.
    body += "turn = block;\n";
    const auto take = [&](std::int64_t units) {
      used += units;
      body += fmt::format("turn -= {};\nwhile (turn < 0) turn += blocks;\n", units);
    };
    if (!phase.items.empty()) {
      write_items(body, phase, number);
      take(schedule_.items);
    }
    for (const PlacedStage& placed : phase.grid) {
      body += guard(placed);
      body +=
          unit_loop(fmt::format("int unit = turn; unit < {}; unit += blocks", placed.stage.units),
                    function(placed), placed.stage);
      body += count_time(fmt::format("all blocks: {}", placed.stage.what));
      take(placed.stage.units);
    }
    for (int lane = 0; lane < phase.lanes; ++lane) {
      std::string text;
      for (const PlacedStage& placed : phase.single) {
        if (placed.lane != lane) continue;
        text += guard(placed);
        text += unit_loop(fmt::format("int unit = 0; unit < {}; ++unit", placed.stage.units),
                          function(placed), placed.stage);
        text += "__syncthreads();\n";
      }
      if (text.empty()) continue;
      body += fmt::format("if (turn == 0) {{\n{}}}\n", text);
      take(1);
    }
    binder_.set_locals({});
    kernel_.blocks = std::max(kernel_.blocks, used);
  }

  void write_items(std::string& body, const Phase& phase, std::size_t number) {
    const PhaseLocals& locals = locals_[number];
    const auto later = [](const LocalCopy& copy) { return !copy.early; };
    const std::string once = copies(locals, locals.once, later);
    if (!once.empty()) body += fmt::format("if (block < {}) {{\n{}}}\n", schedule_.items, once);
    body += fmt::format("for (int item = block; item < {}; item += blocks) {{\n", schedule_.items);
    if (!locals.once.empty() || !locals.per_item.empty()) {
      const std::string early =
          copies(locals, locals.per_item, [](const LocalCopy& copy) { return copy.early; });
      if (!early.empty()) body += fmt::format("if (item != block) {{\n{}}}\n", early);
      body += copies(locals, locals.per_item, later) + "copy_async_wait();\n__syncthreads();\n";
      body += count_time("by item: copies to shared memory");
    }
    LocalPlaces places = locals.places;
    places.insert(locals.every.begin(), locals.every.end());
    binder_.set_locals(std::move(places));
    write_levels(body, phase.items, "by item");
    body += "}\n";
    binder_.set_locals(locals.every);
  }

  static bool ends_step(const Phase& phase) {
    const auto ends = [](const PlacedStage& p) {
      return p.stage.commit || p.last || !p.updates.empty();
    };
    return std::ranges::any_of(std::array{&phase.items, &phase.grid, &phase.single},
                               [&](const auto* list) { return std::ranges::any_of(*list, ends); });
  }

  [[nodiscard]] bool is_fed(int root) const {
    return std::ranges::any_of(
        program_.feeds, [&](const auto& feed) { return program_.root_of(feed.slot) == root; });
  }

  /// Starts those copies for a phase that need not wait for the phase before, each block's first
  /// item's; of `which` alone.
  std::string early_copies(std::size_t number, std::string_view step, auto which) {
    const PhaseLocals& locals = locals_[number];
    const auto early = [&](const LocalCopy& copy) { return copy.early && which(copy); };
    const std::string text =
        copies(locals, locals.once, early) + copies(locals, locals.per_item, early);
    if (text.empty()) return {};
    return fmt::format(
        "if (block < {}) {{\nconst i64 own = {};\n{{\nconst i64 step = own;\nconst int item = "
        "block;\n{}}}\n}}\n",
        schedule_.items, step, text);
  }

  std::string early_copies(std::size_t number, std::string_view step) {
    return early_copies(number, step, [](const LocalCopy&) { return true; });
  }

  /// Starts the copies.
  template <typename Which>
  std::string copies(const PhaseLocals& locals, const std::vector<LocalCopy>& list, Which which) {
    std::string text;
    for (const LocalCopy& copy : list) {
      if (!which(copy)) continue;
      const LocalPlace& place = locals.places.at(copy.root);
      text += fmt::format("copy_in<{}>(local + {}, {}{});\n", copy.bytes, place.offset,
                          binder_.global_text(copy.root),
                          place.item_bytes > 0 ? fmt::format(" + (i64)item * {}", copy.bytes) : "");
    }
    return text;
  }

  /// A function for an update, which the slot's stores call from now on.
  void add_update(std::size_t i) {
    const Update& update = schedule_.updates[i];
    const int root = program_.root_of(update.slot);
    const std::string name = fmt::format("update_{}", i);
    std::string members;
    std::string loads;
    std::string names;
    for (const Update::Load& load : update.loads) {
      members += fmt::format("{} {};\n", load.type, load.name);
      loads += fmt::format("e.{} = {};\n", load.name, binder_.bind(load.text, PlacedStage{}));
      names += fmt::format("const {0} {1} = e.{1};\n", load.type, load.name);
    }
    functions_ += fmt::format(
        "struct {0}_early {{\n{1}}};\nDEV {0}_early {0}_load(const Params& P, i64 step, i64 i) "
        "{{\n{0}_early e;\n{2}return e;\n}}\n"
        "DEV void {0}(const Params& P, i64 step, i64 i, float value, bool go, const {0}_early& e) "
        "{{\n{3}{4}}}\n",
        name, members, loads, names, binder_.bind(update.body, PlacedStage{}));
    binder_.add_sink(root, {name, is_read(root)});
  }

  [[nodiscard]] bool is_read(int root) const {
    const auto reads = [&](const PlacedStage& placed) {
      return std::ranges::any_of(placed.stage.accesses, [&](const Access& a) {
        return !a.write && a.slot >= 0 && program_.root_of(a.slot) == root;
      });
    };
    for (const Phase& phase : schedule_.phases) {
      for (const auto* list : {&phase.every, &phase.items, &phase.grid, &phase.single}) {
        if (std::ranges::any_of(*list, reads)) return true;
      }
    }
    return std::ranges::any_of(program_.fetches, [&](const BoundFetch& fetch) {
      return program_.root_of(fetch.slot) == root;
    });
  }

  static std::string guard(const PlacedStage& placed) {
    return placed.stage.commit ? "if (go) " : "";
  }

  const Program& program_;
  const Schedule& schedule_;
  SourceOptions options_;
  std::vector<PhaseLocals> locals_;
  std::int64_t local_bytes_ = 0;
  Binder binder_;
  KernelText kernel_;
  std::string functions_;
  int count_ = 0;
  double flops_ = 0, bytes_ = 0;  ///< of the stages since the last counter
  bool go_known_ = false;
};

}  // namespace

StepSource one_kernel_source(const Program& program, const Schedule& schedule,
                             const SourceOptions& options) {
  return OneKernel(program, schedule, options).run();
}

}  // namespace ingot::cuda
