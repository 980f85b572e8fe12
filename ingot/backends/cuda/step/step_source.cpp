#include "ingot/backends/cuda/step/step_source.h"

#include <fmt/core.h>

#include <algorithm>
#include <unordered_map>

#include "ingot/backends/cuda/kernels/cuda_kernel.h"
#include "ingot/backends/cuda/step/step_stages.h"
#include "ingot/backends/cuda/step/step_text.h"
#include "ingot/runtime/kernel.h"

namespace ingot::cuda {
namespace {

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
  const std::int64_t rounds = (stage.units + kMultiprocessors - 1) / kMultiprocessors;
  return kLaunch + std::max({bytes / kBytesPerSecond, stage.flops / kFlopsPerSecond,
                             static_cast<double>(rounds) * stage.unit_cycles / kCyclesPerSecond});
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
  text.flops_of_cycle = placed.stage.flops_of_cycle;
  return text;
}

}  // namespace

StepSource kernels_source(const Program& program, const std::vector<PlacedStage>& stages,
                          const SourceOptions& options, const std::vector<PlacedStage>& refresh) {
  // A module costs a compiler's start; more of them keep more cores busy.
  constexpr std::size_t kKernelsOfModule = 16;
  StepSource source;
  source.texts.push_back(text_header() + mma_header());
  std::unordered_map<std::string, std::size_t> numbers;
  const auto add = [&](const PlacedStage& placed, std::vector<KernelText>& kernels) {
    const Stage& stage = placed.stage;
    if (stage.library != nullptr) {
      kernels.push_back(library_text(program, placed));
      return;
    }
    Binder binder(program, false);
    const bool ends = stage.commit || placed.last;
    std::string body = stage.takes_turn && !ends ? "" : "take_turn();\n";
    if (ends) {
      body += fmt::format("const bool go = {};\n",
                          binder.bind(may_commit(program, options.check_numerics), placed));
      if (stage.commit) body += "if (!go) return;\n";
    } else {
      body += "const bool go = true;\n";
    }
    body += "const i64 step = 0, item = 0;\nchar* const local = nullptr;\n";
    body +=
        unit_loop(fmt::format("int unit = blockIdx.x; unit < {}; unit += gridDim.x", stage.units),
                  binder.bind(stage.body, placed), stage);
    KernelText kernel;
    kernel.pointers = binder.pointers();
    source.ticket_bytes = std::max(source.ticket_bytes, binder.ticket_bytes());
    const std::string params = params_struct("@", kernel.pointers.size(), program.feeds.size());
    const auto [it, fresh] = numbers.emplace(params + body, numbers.size());
    kernel.name = fmt::format("kernel_{}", it->second);
    kernel.module = it->second / kKernelsOfModule;
    kernel.what = {stage.what};
    kernel.blocks = std::min<std::int64_t>(stage.units, 1 << 20);
    kernel.touches = Touches(program, placed).run(kernel.pointers);
    kernel.seconds = expected_seconds(stage, kernel.touches);
    kernel.flops = stage.flops;
    kernel.flops_of_cycle = stage.flops_of_cycle;
    kernel.threads = stage.threads;
    kernel.shared_bytes = stage.shared_bytes;
    if (fresh) {
      if (kernel.module == source.texts.size())
        source.texts.push_back(text_header() + mma_header());
      const std::string cluster =
          stage.cluster > 1 ? fmt::format("__cluster_dims__({}, 1, 1) ", stage.cluster) : "";
      source.texts.back() += fmt::format(
          "// {}\nnamespace {} {{\n{}extern \"C\" __global__ void {}__launch_bounds__({}{}) "
          "{}(const "
          "__grid_constant__ Params P) {{\nextern __shared__ __align__(16) char "
          "smem[];\n{}}}\n}}\n",
          stage.what, kernel.name + "_",
          params_struct("Params", kernel.pointers.size(), program.feeds.size()), cluster,
          stage.threads, stage.blocks_at_once > 1 ? fmt::format(", {}", stage.blocks_at_once) : "",
          kernel.name, body);
    }
    kernels.push_back(std::move(kernel));
  };
  for (const PlacedStage& placed : stages) add(placed, source.kernels);
  for (const PlacedStage& placed : refresh) add(placed, source.refresh);
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
  constexpr std::size_t kMostStages = 150;
  const auto many_kernels = [&] {
    return kernels_source(program, sequence(program, gpu, options.library), options,
                          refresh_sequence(program, gpu));
  };
  if (program.form == StepForm::throughput || !program.refresh.empty() ||
      (options.library && has_library_work(program))) {
    return many_kernels();
  }
  const Schedule one = schedule(program, gpu);
  std::size_t count = 0;
  for (const Phase& phase : one.phases) {
    count += phase.items.size() + phase.grid.size() + phase.single.size();
  }
  if (one.cycles <= kMostCycles && count <= kMostStages) {
    return one_kernel_source(program, one, options);
  }
  StepSource source = many_kernels();
  source.cycles = one.cycles;
  return source;
}

}  // namespace ingot::cuda
