#include "ingot/backends/cuda/step_source.h"

#include <fmt/core.h>

#include <algorithm>
#include <unordered_map>

#include "ingot/backends/cuda/cuda_kernel.h"
#include "ingot/backends/cuda/step_stages.h"
#include "ingot/runtime/kernel.h"

namespace ingot::cuda {
namespace {

constexpr std::string_view kIntrinsics =
#include "ingot/backends/cuda/device/intrinsics.inc"
    ;
constexpr std::string_view kPrelude =
#include "ingot/backends/cuda/device/prelude.inc"
    ;
constexpr std::string_view kReduce =
#include "ingot/backends/cuda/device/reduce.inc"
    ;
constexpr std::string_view kVector =
#include "ingot/backends/cuda/device/vector.inc"
    ;
constexpr std::string_view kContract =
#include "ingot/backends/cuda/device/contract.inc"
    ;
constexpr std::string_view kMmaIntrinsics =
#include "ingot/backends/cuda/device/mma_intrinsics.inc"
    ;
constexpr std::string_view kMma =
#include "ingot/backends/cuda/device/mma.inc"
    ;

std::string header() {
  return std::string(kIntrinsics) + std::string(kMmaIntrinsics) + std::string(kPrelude) +
         std::string(kReduce) + std::string(kVector) + std::string(kContract) + std::string(kMma);
}

/// Where a block keeps its item's part of a slot in shared memory.
struct LocalPlace {
  std::int64_t offset = 0;
  std::int64_t item_bytes = 0;
};
using LocalPlaces = std::unordered_map<int, LocalPlace>;  ///< by root

/// Gives the names in stages' texts their meaning, collecting a kernel's pointers.
class Binder {
 public:
  /// Slots that lie in shared memory, `local`, until told otherwise.
  void set_locals(LocalPlaces locals) { locals_ = std::move(locals); }

  Binder(const Program& program, bool stacked) : program_(program), stacked_(stacked) {}

  /// `text` with @slot@, @W@ and @N@ replaced.
  std::string bind(const std::string& text, const PlacedStage& placed) {
    std::string bound;
    std::size_t from = 0;
    while (true) {
      const std::size_t open = text.find('@', from);
      if (open == std::string::npos) break;
      const std::size_t close = text.find('@', open + 1);
      bound.append(text, from, open - from);
      const std::string name = text.substr(open + 1, close - open - 1);
      if (name == "N") {
        bound += std::to_string(placed.node);
      } else if (name == "W") {
        bound += fmt::format("P.p[{}]", index_of({-1, placed.scratch_offset}));
      } else {
        bound += slot_text(std::stoi(name));
      }
      from = close + 1;
    }
    bound.append(text, from);
    return bound;
  }

  [[nodiscard]] const std::vector<Pointer>& pointers() const noexcept { return pointers_; }

 private:
  std::string slot_text(int slot) {
    const int root = program_.root_of(slot);
    if (const auto it = locals_.find(root); it != locals_.end()) {
      return fmt::format("(local + {} - item * {})", it->second.offset, it->second.item_bytes);
    }
    const std::string pointer = fmt::format("P.p[{}]", index_of({root, 0}));
    if (!stacked_) return pointer;
    for (std::size_t feed = 0; feed < program_.feeds.size(); ++feed) {
      if (program_.feeds[feed].slot == root) {
        return fmt::format("({} + step * P.stride[{}])", pointer, feed);
      }
    }
    return pointer;
  }
  int index_of(const Pointer& pointer) {
    const auto it = std::ranges::find(pointers_, pointer);
    if (it != pointers_.end()) return static_cast<int>(it - pointers_.begin());
    pointers_.push_back(pointer);
    return static_cast<int>(pointers_.size()) - 1;
  }

  const Program& program_;
  bool stacked_;
  LocalPlaces locals_;
  std::vector<Pointer> pointers_;
};

std::string params_struct(const std::string& name, std::size_t pointers, std::size_t feeds) {
  return fmt::format(
      "struct {} {{ char* p[{}]; i64 stride[{}]; Control* control; double* ring; i64 capacity; i64 "
      "steps; i64* counters; }};\n",
      name, std::max<std::size_t>(pointers, 1), std::max<std::size_t>(feeds, 1));
}

/// The loop over a stage's units; `units` is the text of init; condition; step.
std::string unit_loop(const std::string& units, const std::string& call, const Stage& stage) {
  return fmt::format("for ({}) {{ {}{} }}\n", units, call,
                     stage.shared_bytes > 0 ? " __syncthreads();" : "");
}

/// What only the item stages of one phase touch, item by item, fits in shared memory instead.
class LocalSlots {
 public:
  LocalSlots(const Program& program, const Schedule& schedule)
      : program_(program), items_(schedule.items) {
    for (const BoundFetch& fetch : program.fetches) rule_out(fetch.slot);
    for (std::size_t i = 0; i < schedule.phases.size(); ++i) {
      const Phase& phase = schedule.phases[i];
      for (const PlacedStage& placed : phase.items) note(placed, static_cast<int>(i), true);
      for (const auto* list : {&phase.grid, &phase.single}) {
        for (const PlacedStage& placed : *list) note(placed, static_cast<int>(i), false);
      }
    }
  }

  /// Places of a phase, and their bytes; largest slots that do not fit stay in global memory.
  [[nodiscard]] std::pair<LocalPlaces, std::int64_t> of_phase(int phase) const {
    std::vector<std::pair<std::int64_t, int>> sized;
    for (const auto& [root, user] : users_) {
      if (user.phase != phase || !user.local) continue;
      const Slot& slot = program_.slots[static_cast<std::size_t>(root)];
      if (slot.storage == Slot::Storage::scratch) sized.emplace_back(slot.bytes() / items_, root);
    }
    std::ranges::sort(sized);
    LocalPlaces places;
    std::int64_t used = 0;
    for (const auto& [bytes, root] : sized) {
      if (used + bytes > kMostBytes) break;
      places[root] = {used, bytes};
      used += (bytes + 15) / 16 * 16;
    }
    return {std::move(places), used};
  }

 private:
  // Leaves room for tiles, and for the first-level cache, which shares the memory.
  static constexpr std::int64_t kMostBytes = 64 << 10;

  struct User {
    int phase = -1;
    bool local = true;
  };

  void note(const PlacedStage& placed, int phase, bool is_item) {
    for (const Access& access : placed.stage.accesses) {
      if (access.slot < 0) continue;
      User& user = users_[program_.root_of(access.slot)];
      if (user.phase < 0) user.phase = phase;
      user.local &= user.phase == phase && is_item && access.by_item;
    }
  }
  void rule_out(int slot) { users_[program_.root_of(slot)].local = false; }

  const Program& program_;
  std::int64_t items_;
  std::unordered_map<int, User> users_;
};

/// What a kernel of one stage touches.
class Touches {
 public:
  Touches(const Program& program, const PlacedStage& placed) : program_(program), placed_(placed) {}

  std::vector<Touch> run(const std::vector<Pointer>& pointers) {
    const Stage& stage = placed_.stage;
    for (const Access& access : stage.accesses) {
      if (access.slot < 0) {
        add_arena(placed_.scratch_offset, placed_.scratch_bytes, access.write);
      } else {
        add_slot(access.slot, access.write);
      }
    }
    // What decides whether the step is committed is read besides.
    for (const Pointer& pointer : pointers) {
      const bool known = std::ranges::any_of(stage.accesses, [&](const Access& access) {
        return access.slot >= 0 && program_.root_of(access.slot) == pointer.slot;
      });
      if (pointer.slot >= 0 && !known) add_slot(pointer.slot, false);
    }
    const bool latches = stage.body.find("P.control") != std::string::npos;
    if (latches || stage.commit || placed_.last) {
      touches_.push_back({kControl, 0, 1, !stage.commit});
    }
    return std::move(touches_);
  }

 private:
  void add_arena(std::int64_t offset, std::int64_t bytes, bool write) {
    touches_.push_back({-1, offset, offset + bytes, write});
  }
  void add_slot(int slot, bool write) {
    const int root = program_.root_of(slot);
    const Slot& memory = program_.slots[static_cast<std::size_t>(root)];
    if (memory.storage == Slot::Storage::scratch) {
      add_arena(memory.offset, memory.bytes(), write);
    } else {
      touches_.push_back({root, 0, std::max<std::int64_t>(memory.bytes(), 1), write});
    }
  }

  const Program& program_;
  const PlacedStage& placed_;
  std::vector<Touch> touches_;
};

/// What a kernel takes on a large GPU, good enough to order kernels by.
double expected_seconds(const Stage& stage, const std::vector<Touch>& touches) {
  constexpr double kLaunch = 2e-6;
  constexpr double kBytesPerSecond = 3e12;
  constexpr double kFlopsPerSecond = 400e12;
  constexpr double kCyclesPerSecond = 1.7e9;
  constexpr std::int64_t kMultiprocessors = 132;
  double bytes = 0;
  for (const Touch& touch : touches) bytes += static_cast<double>(touch.end - touch.begin);
  const auto rounds = static_cast<double>((stage.units + kMultiprocessors - 1) / kMultiprocessors);
  return kLaunch + std::max({bytes / kBytesPerSecond, stage.flops / kFlopsPerSecond,
                             rounds * stage.unit_cycles / kCyclesPerSecond});
}

/// A library's work as a node of the graph.
KernelText library_text(const Program& program, const PlacedStage& placed) {
  KernelText text;
  text.what = {placed.stage.what};
  text.library = placed.stage.library;
  for (const Access& access : placed.stage.accesses) {
    text.pointers.push_back(access.slot < 0 ? Pointer{-1, placed.scratch_offset}
                                            : Pointer{program.root_of(access.slot), 0});
  }
  text.touches = Touches(program, placed).run({});
  text.seconds = expected_seconds(placed.stage, text.touches);
  text.flops = placed.stage.flops;
  return text;
}

class OneKernel {
 public:
  OneKernel(const Program& program, const Schedule& schedule, const SourceOptions& options)
      : program_(program),
        schedule_(schedule),
        options_(options),
        locals_(program, schedule),
        binder_(program, true) {
    for (std::size_t i = 0; i < schedule.phases.size(); ++i) {
      local_bytes_ = std::max(local_bytes_, locals_.of_phase(static_cast<int>(i)).second);
    }
  }

  StepSource run() {
    std::string body;
    if (options_.profile) body += "i64 before = block == 0 ? clock64() : 0;\n";
    body += "bool go = true;\nfor (i64 step = 0; step < P.steps; ++step) {\n";
    for (std::size_t i = 0; i < schedule_.phases.size(); ++i) {
      write_phase(body, schedule_.phases[i], static_cast<int>(i));
      body += i + 1 < schedule_.phases.size()
                  ? "grid_barrier(P.control, blocks);\n"
                  : "if (step + 1 < P.steps) grid_barrier(P.control, blocks);\n";
      body += count_time(fmt::format("barrier after phase {}", i));
    }
    body += "}\n";
    StepSource source;
    std::string text = header() +
                       params_struct("Params", binder_.pointers().size(), program_.feeds.size()) +
                       functions_ +
                       fmt::format(
                           "extern \"C\" __global__ void __launch_bounds__({}) step_kernel(const "
                           "__grid_constant__ Params P) {{\nextern __shared__ __align__(16) char "
                           "local[];\nchar* const smem = local + {};\n"
                           "const int block = blockIdx.x, blocks = gridDim.x;\n",
                           kThreads, local_bytes_) +
                       body + "}\n";
    source.texts.push_back(std::move(text));
    kernel_.shared_bytes += static_cast<int>(local_bytes_);
    kernel_.name = "step_kernel";
    kernel_.pointers = binder_.pointers();
    kernel_.cooperative = true;
    source.kernels.push_back(std::move(kernel_));
    source.cycles = schedule_.cycles;
    return source;
  }

 private:
  /// Time since the last such place goes to `what`.
  std::string count_time(const std::string& what) {
    if (!options_.profile) return {};
    kernel_.timed.push_back(what);
    return fmt::format(
        "if (block == 0 && threadIdx.x == 0) {{ const i64 now = clock64(); P.counters[{}] += now - "
        "before; before = now; }}\n",
        kernel_.timed.size() - 1);
  }

  /// Adds the stage as a function and returns its call.
  std::string function(const PlacedStage& placed) {
    const std::string name = fmt::format("stage_{}", count_++);
    functions_ += fmt::format(
        "// {}\nDEV void {}(const Params& P, i64 step, int unit, char* smem, char* local, bool go) "
        "{{\nconst i64 item = unit / {};\n{}}}\n",
        placed.stage.what, name, std::max<std::int64_t>(placed.stage.units_per_item, 1),
        binder_.bind(placed.stage.body, placed));
    kernel_.what.push_back(placed.stage.what);
    kernel_.shared_bytes = std::max(kernel_.shared_bytes, placed.stage.shared_bytes);
    return fmt::format("{}(P, step, unit, smem, local, go);", name);
  }

  void write_phase(std::string& body, const Phase& phase, int number) {
    const auto ends = [](const PlacedStage& p) { return p.stage.commit || p.last; };
    for (const auto* list : {&phase.items, &phase.grid, &phase.single}) {
      if (!go_known_ && std::ranges::any_of(*list, ends)) {
        go_known_ = true;
        const PlacedStage nothing;
        body += fmt::format("go = {};\n",
                            binder_.bind(may_commit(program_, options_.check_numerics), nothing));
      }
    }
    std::int64_t used = 0;
    if (!phase.items.empty()) {
      binder_.set_locals(locals_.of_phase(number).first);
      body +=
          fmt::format("for (int item = block; item < {}; item += blocks) {{\n", schedule_.items);
      for (const PlacedStage& placed : phase.items) {
        body +=
            unit_loop(fmt::format("int unit = item * {0}, stop = unit + {0}; unit < stop; ++unit",
                                  placed.stage.units_per_item),
                      function(placed), placed.stage);
        body += "__syncthreads();\n";
        body += count_time(fmt::format("by item: {}", placed.stage.what));
      }
      body += "}\n";
      binder_.set_locals({});
      used += schedule_.items;
    }
    for (const PlacedStage& placed : phase.grid) {
      body += guard(placed);
      body +=
          unit_loop(fmt::format("int unit = (block + blocks - {} % blocks) % blocks; unit < {}; "
                                "unit += blocks",
                                used, placed.stage.units),
                    function(placed), placed.stage);
      body += count_time(fmt::format("all blocks: {}", placed.stage.what));
      used += placed.stage.units;
    }
    for (int lane = 0; lane < phase.lanes; ++lane) {
      body += fmt::format("if (block == {} % blocks) {{\n", used++);
      for (const PlacedStage& placed : phase.single) {
        if (placed.lane != lane) continue;
        body += guard(placed);
        body += unit_loop(fmt::format("int unit = 0; unit < {}; ++unit", placed.stage.units),
                          function(placed), placed.stage);
        body += "__syncthreads();\n";
      }
      body += "}\n";
    }
    kernel_.blocks = std::max(kernel_.blocks, used);
  }

  static std::string guard(const PlacedStage& placed) {
    return placed.stage.commit ? "if (go) " : "";
  }

  const Program& program_;
  const Schedule& schedule_;
  SourceOptions options_;
  LocalSlots locals_;
  std::int64_t local_bytes_ = 0;
  Binder binder_;
  KernelText kernel_;
  std::string functions_;
  int count_ = 0;
  bool go_known_ = false;
};

}  // namespace

StepSource one_kernel_source(const Program& program, const Schedule& schedule,
                             const SourceOptions& options) {
  return OneKernel(program, schedule, options).run();
}

StepSource kernels_source(const Program& program, const std::vector<PlacedStage>& stages,
                          const SourceOptions& options) {
  // A module costs a compiler's start; more of them keep more cores busy.
  constexpr std::size_t kKernelsOfModule = 16;
  StepSource source;
  source.texts.push_back(header());
  std::unordered_map<std::string, std::size_t> numbers;
  for (const PlacedStage& placed : stages) {
    const Stage& stage = placed.stage;
    if (stage.library != nullptr) {
      source.kernels.push_back(library_text(program, placed));
      continue;
    }
    Binder binder(program, false);
    const bool ends = stage.commit || placed.last;
    std::string body = stage.takes_turn && !ends ? "" : "take_turn();\n";
    if (ends) {
      body += fmt::format("const bool go = {};\n",
                          binder.bind(may_commit(program, options.check_numerics), placed));
      if (stage.commit) body += "if (!go) return;\n";
    }
    body += "const i64 step = 0, item = 0;\nchar* const local = nullptr;\n";
    body +=
        unit_loop(fmt::format("int unit = blockIdx.x; unit < {}; unit += gridDim.x", stage.units),
                  binder.bind(stage.body, placed), stage);
    KernelText kernel;
    kernel.pointers = binder.pointers();
    const std::string params = params_struct("@", kernel.pointers.size(), program.feeds.size());
    const auto [it, fresh] = numbers.emplace(params + body, numbers.size());
    kernel.name = fmt::format("kernel_{}", it->second);
    kernel.module = it->second / kKernelsOfModule;
    kernel.what = {stage.what};
    kernel.blocks = std::min<std::int64_t>(stage.units, 1 << 20);
    kernel.touches = Touches(program, placed).run(kernel.pointers);
    kernel.seconds = expected_seconds(stage, kernel.touches);
    kernel.flops = stage.flops;
    kernel.threads = stage.threads;
    kernel.shared_bytes = stage.shared_bytes;
    if (fresh) {
      if (kernel.module == source.texts.size()) source.texts.push_back(header());
      const std::string cluster =
          stage.cluster > 1 ? fmt::format("__cluster_dims__({}, 1, 1) ", stage.cluster) : "";
      source.texts.back() += fmt::format(
          "// {}\nnamespace {} {{\n{}extern \"C\" __global__ void {}__launch_bounds__({}) {}(const "
          "__grid_constant__ Params P) {{\nextern __shared__ __align__(16) char "
          "smem[];\n{}}}\n}}\n",
          stage.what, kernel.name + "_",
          params_struct("Params", kernel.pointers.size(), program.feeds.size()), cluster,
          stage.threads, kernel.name, body);
    }
    source.kernels.push_back(std::move(kernel));
  }
  return source;
}

namespace {

bool has_library_work(const Program& program) {
  const auto is_library = [](const Launch& launch) {
    const auto* kernel = dynamic_cast<const CudaKernel*>(launch.kernel.get());
    return kernel != nullptr && kernel->library_only();
  };
  return std::ranges::any_of(program.main, is_library) ||
         std::ranges::any_of(program.commit, is_library);
}

}  // namespace

StepSource step_source(const Program& program, const GpuFacts& gpu, const SourceOptions& options) {
  // A kernel for the whole step is made for steps in which launches would show, and whose text a
  // compiler still gets through quickly.
  constexpr double kMostCycles = 600e3;
  constexpr std::size_t kMostStages = 250;
  if (program.form == StepForm::throughput || (options.library && has_library_work(program))) {
    return kernels_source(program, sequence(program, gpu, options.library), options);
  }
  const Schedule one = schedule(program, gpu);
  std::size_t count = 0;
  for (const Phase& phase : one.phases) {
    count += phase.items.size() + phase.grid.size() + phase.single.size();
  }
  if (one.cycles <= kMostCycles && count <= kMostStages) {
    return one_kernel_source(program, one, options);
  }
  StepSource source = kernels_source(program, sequence(program, gpu, options.library), options);
  source.cycles = one.cycles;
  return source;
}

}  // namespace ingot::cuda
