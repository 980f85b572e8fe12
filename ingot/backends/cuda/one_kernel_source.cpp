// A step as one cooperative kernel.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "ingot/backends/cuda/local_slots.h"
#include "ingot/backends/cuda/step_source.h"
#include "ingot/backends/cuda/step_stages.h"
#include "ingot/backends/cuda/step_text.h"

namespace ingot::cuda {
namespace {

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
    source.texts.push_back(
        text_header() + params_struct("Params", binder_.pointers().size(), program_.feeds.size()) +
        functions_ +
        fmt::format("extern \"C\" __global__ void __launch_bounds__({}) step_kernel(const "
                    "__grid_constant__ Params P) {{\nextern __shared__ __align__(16) char "
                    "local[];\nchar* const smem = local + {};\n"
                    "const int block = blockIdx.x, blocks = gridDim.x;\n",
                    kThreads, local_bytes_) +
        body + "}\n");
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
        "// {}\nDEV void {}(const Params& P, i64 step, i64 item, int unit, char* smem, char* "
        "local, "
        "bool go) {{\n{}}}\n",
        placed.stage.what, name, binder_.bind(placed.stage.body, placed));
    kernel_.what.push_back(placed.stage.what);
    kernel_.shared_bytes = std::max(kernel_.shared_bytes, placed.stage.shared_bytes);
    return fmt::format("{}(P, step, {}, unit, smem, local, go);", name,
                       placed.stage.mode == Mode::item ? "item" : "0");
  }

  void write_phase(std::string& body, const Phase& phase, int number) {
    for (const PlacedStage& placed : phase.every) {
      body += unit_loop(fmt::format("int unit = 0; unit < {}; ++unit", placed.stage.units),
                        function(placed), placed.stage);
      body += "__syncthreads();\n";
      body += count_time(fmt::format("each block: {}", placed.stage.what));
    }
    find_go(body, phase);
    std::int64_t used = 0;
    if (!phase.items.empty()) {
      const PhaseLocals& locals = locals_[static_cast<std::size_t>(number)];
      if (!locals.once.empty()) {
        body +=
            fmt::format("if (block < {}) {{\n{}}}\n", schedule_.items, copies(locals, locals.once));
      }
      body +=
          fmt::format("for (int item = block; item < {}; item += blocks) {{\n", schedule_.items);
      if (!locals.once.empty() || !locals.per_item.empty()) {
        body += copies(locals, locals.per_item) + "copy_async_wait();\n__syncthreads();\n";
        body += count_time("by item: copies to shared memory");
      }
      binder_.set_locals(locals.places);
      for (const PlacedStage& placed : phase.items) {
        const std::int64_t units = placed.stage.units_per_item;
        const bool own = Binder::sees_one_item(placed.stage);
        body += unit_loop(
            own ? fmt::format("int unit = 0; unit < {}; ++unit", units)
                : fmt::format("int unit = item * {0}, stop = unit + {0}; unit < stop; ++unit",
                              units),
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

  /// Whether the step may change anything, once all that decides it is known.
  void find_go(std::string& body, const Phase& phase) {
    const auto ends = [](const PlacedStage& p) {
      return p.stage.commit || p.last || !p.updates.empty();
    };
    const bool needed =
        std::ranges::any_of(std::array{&phase.items, &phase.grid, &phase.single},
                            [&](const auto* list) { return std::ranges::any_of(*list, ends); });
    if (go_known_ || !needed) return;
    go_known_ = true;
    body += fmt::format("go = {};\n",
                        binder_.bind(may_commit(program_, options_.check_numerics), PlacedStage{}));
  }

  /// Starts the copies.
  std::string copies(const PhaseLocals& locals, const std::vector<LocalCopy>& list) {
    std::string text;
    for (const LocalCopy& copy : list) {
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
    functions_ += fmt::format(
        "DEV void {}(const Params& P, i64 step, i64 i, float value, bool go) {{\n{}}}\n", name,
        binder_.bind(update.body, PlacedStage{}));
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
  bool go_known_ = false;
};

}  // namespace

StepSource one_kernel_source(const Program& program, const Schedule& schedule,
                             const SourceOptions& options) {
  return OneKernel(program, schedule, options).run();
}

}  // namespace ingot::cuda
